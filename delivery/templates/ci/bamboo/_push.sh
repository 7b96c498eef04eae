git remote add origin "$bamboo_planRepository_repositoryUrl" || git remote set-url origin "$bamboo_planRepository_repositoryUrl"
git config credential.helper '!f() { echo username=x-token-auth; echo "password=$BITBUCKET_TOKEN"; }; f'
