<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Install;

/**
 * Where the server is and which app it is: the answers to the install command's questions, checked.
 */
final class Connection
{
    /** Words that Laravel's `env()` turns into something else. */
    private const WORDS = ['true', '(true)', 'false', '(false)', 'empty', '(empty)', 'null', '(null)'];

    public function __construct(
        public readonly string $host,
        public readonly string $port,
        public readonly string $scheme,
        public readonly string $appId,
        public readonly string $key,
        public readonly string $secret,
    ) {
    }

    /**
     * The lines of `.env` that PHP reads.
     *
     * @return array<string, string>
     */
    public function lines(): array
    {
        return [
            'PUSHER_APP_ID' => $this->appId,
            'PUSHER_APP_KEY' => $this->key,
            'PUSHER_APP_SECRET' => $this->secret,
            'PUSHER_HOST' => $this->host,
            'PUSHER_PORT' => $this->port,
            'PUSHER_SCHEME' => $this->scheme,
        ];
    }

    /**
     * What is wrong with a host, or null.
     */
    public static function hostProblem(string $host): ?string
    {
        if (str_contains($host, '://') || str_contains($host, '/')) {
            return 'The host is a name or an address alone, without "http://" and without a path: ws.example.com';
        }
        $address = preg_match('/\A\[[0-9A-Fa-f:.]+\]\z/', $host) === 1;
        if (!$address && preg_match('/\A[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\z/', $host) !== 1) {
            return 'The host is a name such as ws.example.com, or an address such as 127.0.0.1 or [::1], without its port';
        }

        return null;
    }

    /**
     * What is wrong with a port, or null.
     */
    public static function portProblem(string $port): ?string
    {
        $number = preg_match('/\A[1-9][0-9]{0,4}\z/', $port) === 1 ? (int) $port : 0;

        return $number >= 1 && $number <= 65535 ? null : 'The port is a number from 1 to 65535';
    }

    /**
     * What is wrong with a scheme, or null.
     */
    public static function schemeProblem(string $scheme): ?string
    {
        return in_array($scheme, ['http', 'https'], true) ? null : 'The scheme is http or https';
    }

    /**
     * What is wrong with an app id, a key or a secret, or null. The text does not repeat the value.
     */
    public static function credentialProblem(string $value): ?string
    {
        if ($value === '') {
            return 'It may not be empty: it is what the server\'s configuration has for the app';
        }
        if (preg_match('/[\x00-\x20\x7f]/', $value) === 1) {
            return 'It may not have blanks or line ends: copy it again';
        }
        if (in_array(strtolower($value), self::WORDS, true)) {
            return 'Laravel turns the words true, false, empty and null in .env into something else: take another value';
        }
        if (strlen($value) > 1 && in_array($value[0], ['"', "'"], true) && $value[0] === substr($value, -1)) {
            return 'Leave the quotes out: .env gets its own where they are needed';
        }

        return null;
    }
}
