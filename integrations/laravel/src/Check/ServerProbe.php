<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

/**
 * Looks at host and port by itself, to name why a publication has failed: name, listener, TLS, certificate, path.
 */
final class ServerProbe
{
    private const TIMEOUT = 3.0;

    private const BYTES = 4_096;

    public function __construct(private readonly BroadcastConnection $connection)
    {
    }

    /**
     * Why nobody can be reached there; null if somebody listens.
     */
    public function unreachable(): ?Finding
    {
        $connection = $this->connection;
        $prefix = $connection->prefix();
        $host = $connection->host();
        if (!$this->hasAddress($host)) {
            return Finding::wrong(
                "{$host} has no address: the name is wrong, or this machine's DNS does not know it",
                "{$prefix}_HOST=127.0.0.1",
            );
        }
        $error = '';
        if ($this->open($error) !== null) {
            return null;
        }
        $where = "{$host}:{$connection->port()}";
        if (stripos($error, 'refused') !== false) {
            return Finding::wrong(
                "Nothing listens on {$where}: the server is not running, or {$prefix}_PORT is another one"
                    .' (in a container 127.0.0.1 is the container itself)',
                "curl -i {$connection->scheme()}://{$where}/up   # on the machine or in the container of the queue worker",
            );
        }
        $why = stripos($error, 'timed out') !== false
            ? 'no answer within '.(int) self::TIMEOUT.' s, a firewall perhaps'
            : $error;

        return Finding::wrong("{$where} cannot be reached: {$why}", "curl -i {$connection->scheme()}://{$where}/up");
    }

    /**
     * What is wrong with the one who listens; null if it looks right.
     */
    public function foreign(): ?Finding
    {
        return $this->connection->scheme() === 'https' ? $this->wrongTls() : $this->wrongPlain();
    }

    private function wrongTls(): ?Finding
    {
        $prefix = $this->connection->prefix();
        $error = '';
        if ($this->encrypted(true, $error) !== null) {
            return $this->noServer();
        }
        if ($this->encrypted(false) !== null) {
            $host = $this->connection->host();
            $why = preg_match('/did not match expected|does not match/i', $error) === 1
                ? "is not for the name {$host}"
                : 'is not trusted by PHP: self-signed, expired, or without its chain';

            return Finding::wrong(
                "The certificate of {$host}:{$this->connection->port()} {$why}",
                "openssl s_client -connect {$host}:{$this->connection->port()} -servername {$host} </dev/null",
            );
        }
        if ($this->answerOf($this->open()) !== '') {
            return Finding::wrong(
                "{$prefix}_SCHEME is https, and port {$this->connection->port()} speaks plain HTTP",
                "{$prefix}_SCHEME=http",
            );
        }

        return Finding::wrong(
            "Port {$this->connection->port()} of {$this->connection->host()} speaks neither TLS nor HTTP",
            "{$prefix}_PORT=6001",
        );
    }

    private function wrongPlain(): ?Finding
    {
        $prefix = $this->connection->prefix();
        if (!$this->serves($this->answerOf($this->open())) && $this->encrypted(false) !== null) {
            return Finding::wrong(
                "{$prefix}_SCHEME is http, and port {$this->connection->port()} speaks TLS",
                "{$prefix}_SCHEME=https",
            );
        }

        return $this->noServer();
    }

    /**
     * A program that answers, but not as a Pusher server does.
     */
    private function noServer(): ?Finding
    {
        $connection = $this->connection;
        $socket = $connection->scheme() === 'https' ? $this->encrypted(true) : $this->open();
        $answer = $this->answerOf($socket, "{$connection->path()}/up");
        if ($this->serves($answer)) {
            return null;
        }
        $socket = $connection->scheme() === 'https' ? $this->encrypted(true) : $this->open();
        if ($connection->path() !== '' && $this->serves($this->answerOf($socket, '/up'))) {
            return Finding::wrong(
                "The server is there, but not below the path \"{$connection->path()}\"",
                "'path' => '',   // options of \"{$connection->name}\" in config/broadcasting.php",
            );
        }
        $status = strtok($answer, "\r\n") ?: 'no answer';

        return Finding::wrong(
            "{$connection->host()}:{$connection->port()} does not answer as the server does (".mb_substr($status, 0, 80)
                .'): another program, or a proxy that has the server below a path',
            "{$connection->prefix()}_PORT=6001",
            "'path' => '/ws/',   // if a proxy has the server below a path: options in config/broadcasting.php",
        );
    }

    /**
     * Whether an answer to `/up` is that of a server of this kind.
     */
    private function serves(string $answer): bool
    {
        return preg_match('~\AHTTP/1\.[01] 200 .*"health"\s*:\s*"OK"~s', $answer) === 1;
    }

    private function hasAddress(string $host): bool
    {
        $host = trim($host, '[]');

        return filter_var($host, FILTER_VALIDATE_IP) !== false
            || gethostbynamel($host) !== false
            || (bool) @dns_get_record($host, DNS_AAAA);
    }

    /**
     * @return resource|null
     */
    private function open(string &$error = '')
    {
        $name = trim($this->connection->host(), '[]');
        $context = stream_context_create(['ssl' => ['peer_name' => $name, 'SNI_enabled' => true]]);
        $address = "tcp://{$this->connection->host()}:{$this->connection->port()}";
        $socket = @stream_socket_client($address, $_, $error, self::TIMEOUT, STREAM_CLIENT_CONNECT, $context);
        $error = (string) $error;
        if ($socket === false) {
            return null;
        }
        stream_set_timeout($socket, (int) self::TIMEOUT);

        return $socket;
    }

    /**
     * A connection after its TLS handshake, null if that fails.
     *
     * @return resource|null
     */
    private function encrypted(bool $verified, string &$error = '')
    {
        $socket = $this->open($error);
        if ($socket === null) {
            return null;
        }
        stream_context_set_option($socket, ['ssl' => ['verify_peer' => $verified, 'verify_peer_name' => $verified]]);
        $messages = [];
        set_error_handler(function (int $level, string $message) use (&$messages): bool {
            $messages[] = $message;

            return true;
        });
        try {
            $done = stream_socket_enable_crypto($socket, true, STREAM_CRYPTO_METHOD_TLS_CLIENT);
        } finally {
            restore_error_handler();
        }
        $error = implode(' ', $messages);

        return $done === true ? $socket : null;
    }

    /**
     * The beginning of what is answered to a GET; "" if there is nothing.
     *
     * @param  resource|null  $socket
     */
    private function answerOf($socket, string $path = '/up'): string
    {
        if ($socket === null) {
            return '';
        }
        @fwrite($socket, "GET {$path} HTTP/1.1\r\nHost: {$this->connection->host()}\r\nConnection: close\r\n\r\n");
        $answer = (string) @stream_get_contents($socket, self::BYTES);
        fclose($socket);

        return $answer;
    }
}
