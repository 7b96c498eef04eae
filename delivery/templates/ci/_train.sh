job=$(infra/local/runner stellwerk train "$MODEL" --env "$TRAINER" --wait)
file=$(infra/local/runner stellwerk release "$MODEL" --env "$TRAINER" --job "$job")
infra/local/runner stellwerk promote "$MODEL" --to "$TRAINER" --release "$(basename "$file" .yaml)" --pull-request
