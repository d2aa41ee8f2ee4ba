<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Webhooks;

use Illuminate\Contracts\Config\Repository;

/**
 * The keys whose signatures are accepted: those of all Pusher connections, and those of config/pusher-server.php.
 */
final class Credentials
{
    /**
     * @param  array<string>  $secrets  key => secret
     */
    public function __construct(private readonly array $secrets)
    {
    }

    public static function of(Repository $config): self
    {
        $secrets = [];
        foreach ((array) $config->get('broadcasting.connections', []) as $connection) {
            if (in_array($connection['driver'] ?? null, ['pusher', 'reverb'], true)) {
                $secrets[(string) ($connection['key'] ?? '')] = (string) ($connection['secret'] ?? '');
            }
        }
        foreach (self::more($config) ?? [] as $key => $secret) {
            $secrets[(string) $key] = is_string($secret) ? $secret : '';
        }
        unset($secrets['']);

        return new self(array_filter($secrets, fn (string $secret): bool => $secret !== ''));
    }

    /**
     * The keys of config/pusher-server.php; null if they cannot be read.
     *
     * @return array<mixed>|null
     */
    public static function more(Repository $config): ?array
    {
        $keys = $config->get('pusher-server.webhooks.keys') ?? [];
        $keys = is_string($keys) ? json_decode($keys, true) : $keys;

        return is_array($keys) ? $keys : null;
    }

    public function isEmpty(): bool
    {
        return $this->secrets === [];
    }

    /**
     * Returns if the signature is that of the body, in a time that does not depend on where they differ.
     *
     * @throws Refused
     */
    public function verify(string $key, string $signature, string $body): void
    {
        if ($key === '' || $signature === '') {
            throw new Refused(
                401,
                'X-Pusher-Key or X-Pusher-Signature is missing: this route takes only a server\'s webhooks',
            );
        }
        $secret = $this->secrets[$key] ?? null;
        if ($secret === null) {
            throw new Refused(401, 'Unknown X-Pusher-Key: PUSHER_APP_KEY in the receiver\'s .env is another one');
        }
        if (!hash_equals(hash_hmac('sha256', $body, $secret), $signature)) {
            throw new Refused(
                401,
                'Wrong X-Pusher-Signature: PUSHER_APP_SECRET in the receiver\'s .env is another one',
            );
        }
    }
}
