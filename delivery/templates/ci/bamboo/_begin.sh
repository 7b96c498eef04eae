set -eu
export PULUMI_BACKEND_URL="$bamboo_pulumi_backend_url" PULUMI_CONFIG_PASSPHRASE="$bamboo_pulumi_passphrase_secret"
export STELLWERK_KUBECONFIG="$bamboo_kubeconfig_secret" BITBUCKET_TOKEN="$bamboo_bitbucket_token_secret"
