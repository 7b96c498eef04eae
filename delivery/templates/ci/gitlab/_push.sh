# The job's own token may not push.
git remote set-url origin "$CI_PROJECT_URL.git"
git config credential.helper '!f() { echo username=oauth2; echo "password=$GITLAB_TOKEN"; }; f'
