# Completion of rgate for fish. Use: rgate help completion fish | source

set -l commands serve dev check publish subscribe token version help
set -l first "not __fish_seen_subcommand_from $commands"

complete -c rgate -f
complete -c rgate -s h -l help -d 'explain the command'
complete -c rgate -n $first -s V -l version -d 'print the version'
complete -c rgate -n $first -a serve -d 'run the gateway'
complete -c rgate -n $first -a dev -d 'run the gateway with a Kafka of its own and a demo'
complete -c rgate -n $first -a check -d 'check the configuration and the way to Kafka'
complete -c rgate -n $first -a publish -d 'publish an event, to Kafka or over HTTP'
complete -c rgate -n $first -a subscribe -d 'print events as a client receives them'
complete -c rgate -n $first -a token -d 'make a JSON Web Token for development'
complete -c rgate -n $first -a version -d 'print the version'
complete -c rgate -n $first -a help -d 'explain commands and variables'

set -l in '__fish_seen_subcommand_from'
complete -c rgate -n "$in dev" -l expose -d 'allow listening beyond loopback'
complete -c rgate -n "$in dev" -l no-demo -d 'produce no demo events'

complete -c rgate -n "$in check" -l no-connect -d 'do not contact the brokers'
complete -c rgate -n "$in check" -l all -d 'also print every variable'

complete -c rgate -n "$in publish" -l type -x -d 'type of the event'
complete -c rgate -n "$in publish" -l data -x -d 'data of the event'
complete -c rgate -n "$in publish" -l source -x -d 'source of the event'
complete -c rgate -n "$in publish" -l id -x -d 'id of the event'
complete -c rgate -n "$in publish" -l brokers -x -d 'bootstrap brokers'
complete -c rgate -n "$in publish" -l topic -x -d 'Kafka topic'
complete -c rgate -n "$in publish" -l key -x -d 'key of the message'
complete -c rgate -n "$in publish" -l user -x -d 'send a message to this user'
complete -c rgate -n "$in publish subscribe" -l url -x -a http://localhost:4000 -d 'of the gateway'
complete -c rgate -n "$in publish subscribe" -l cacert -r -F -d 'certificates to trust'
complete -c rgate -n "$in publish subscribe" -l insecure -d 'trust any certificate'
complete -c rgate -n "$in publish subscribe" -l jwt -x -d 'JSON Web Token'

complete -c rgate -n "$in subscribe" -l ws -d 'use a WebSocket'
complete -c rgate -n "$in subscribe" -l type -x -d 'event type'
complete -c rgate -n "$in subscribe" -l where -x -d 'FIELD=VALUE, for the --type before it'
complete -c rgate -n "$in subscribe" -l subscriptions -x -d 'list of subscriptions, JSON'
complete -c rgate -n "$in subscribe" -l count -x -d 'end after so many events'
complete -c rgate -n "$in subscribe" -l once -d 'end when the connection ends'
complete -c rgate -n "$in subscribe" -l raw -d 'print the events only'
complete -c rgate -n "$in subscribe" -l all -d "also print the gateway's opening events"

complete -c rgate -n "$in token" -l secret -x -d 'key of the signature'
complete -c rgate -n "$in token" -l alg -x -a 'HS256 HS384 HS512' -d algorithm
complete -c rgate -n "$in token" -l sub -x -d 'claim sub'
complete -c rgate -n "$in token" -l jti -x -d 'claim jti'
complete -c rgate -n "$in token" -l claim -x -d 'NAME=VALUE, any claim'
complete -c rgate -n "$in token" -l exp -x -d 'life time in seconds'

complete -c rgate -n "$in help; and not $in variables completion" -a "variables completion $commands"
complete -c rgate -n "$in help; and $in variables" -l markdown -d 'as Markdown'
complete -c rgate -n "$in help; and $in completion" -a 'bash zsh fish'
