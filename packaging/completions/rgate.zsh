#compdef rgate
# Completion of rgate for zsh. Use: rgate help completion zsh > a/folder/of/fpath/_rgate

_rgate_commands() {
    local -a commands=(
        'serve:run the gateway'
        'dev:run the gateway with a Kafka of its own and a demo'
        'check:check the configuration and the way to Kafka'
        'publish:publish an event, to Kafka or over HTTP'
        'subscribe:print events as a client receives them'
        'token:make a JSON Web Token for development'
        'version:print the version'
        'help:explain commands and variables'
    )
    _describe command commands
}

_rgate() {
    local help='(- *)'{-h,--help}'[explain the command]'
    local -a line
    local state

    _arguments -C '1: :_rgate_commands' '*:: :->arguments' && return
    case $line[1] in
    dev)
        _arguments '--expose[allow listening beyond loopback]' \
            '--no-demo[produce no demo events]' $help ;;
    check)
        _arguments '--no-connect[do not contact the brokers]' \
            '--all[also print every variable]' $help ;;
    publish)
        _arguments '--type[type of the event]:type:' '--data[data of the event]:data:' \
            '--source[source of the event]:source:' '--id[id of the event]:id:' \
            '--brokers[bootstrap brokers]:host\:port:' '--topic[Kafka topic]:topic:' \
            '--key[key of the message]:key:' '--url[of the gateway]:URL:_urls' \
            '--cacert[certificates to trust]:file:_files' '--insecure[trust any certificate]' \
            '--jwt[JSON Web Token]:token:' '--user[send a message to this user]:name:' \
            $help '1:body:_files -P @' ;;
    subscribe)
        _arguments '--url[of the gateway]:URL:_urls' '--ws[use a WebSocket]' \
            '--cacert[certificates to trust]:file:_files' '--insecure[trust any certificate]' \
            '*--type[event type]:type:' '*--where[condition]:field=value:' \
            '--subscriptions[list of subscriptions]:JSON:' '--jwt[JSON Web Token]:token:' \
            '--count[end after so many events]:number:' \
            '--once[end when the connection ends]' '--raw[print the events only]' \
            "--all[also print the gateway's opening events]" $help ;;
    token)
        _arguments '--secret[key of the signature]:secret:' \
            '--alg[algorithm]:algorithm:(HS256 HS384 HS512)' '--sub[claim sub]:subject:' \
            '--jti[claim jti]:id:' '*--claim[any claim]:name=value:' \
            '--exp[life time]:seconds:' $help ;;
    help)
        if (( CURRENT == 2 )); then
            _values topic variables completion serve dev check publish subscribe token version
        elif [[ $words[2] == completion ]]; then
            _values shell bash zsh fish
        else
            _arguments '--markdown[as Markdown]'
        fi ;;
    *) _arguments $help ;;
    esac
}

_rgate "$@"
