export GIT_AUTHOR_NAME=stellwerk GIT_AUTHOR_EMAIL=stellwerk@localhost
export GIT_COMMITTER_NAME=stellwerk GIT_COMMITTER_EMAIL=stellwerk@localhost
#: include _push.sh
job=$(infra/local/runner stellwerk train "$MODEL" --env "$TRAINER" --wait)
file=$(infra/local/runner stellwerk release "$MODEL" --env "$TRAINER" --job "$job")
infra/local/runner stellwerk promote "$MODEL" --to "$TRAINER" --release "$(basename "$file" .yaml)" --pull-request
