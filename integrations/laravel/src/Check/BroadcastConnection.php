<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use Illuminate\Contracts\Config\Repository;

/**
 * One connection of `broadcasting.connections`, as Laravel has it in memory.
 */
final class BroadcastConnection
{
    /**
     * @param  array<string, mixed>|null  $config  null if there is no connection of this name
     * @param  mixed  $configured  the default connection in the configuration
     */
    private function __construct(
        public readonly string $name,
        public readonly ?array $config,
        public readonly mixed $configured,
    ) {
    }

    /**
     * The connection of this name, or the default one.
     */
    public static function of(Repository $config, ?string $name = null): self
    {
        $default = $config->get('broadcasting.default');
        $name ??= (string) ($default ?? 'null');
        $settings = $config->get("broadcasting.connections.{$name}");

        return new self($name, is_array($settings) ? $settings : null, $default);
    }

    public function driver(): string
    {
        return (string) ($this->config['driver'] ?? '');
    }

    /**
     * Whether the driver speaks the Pusher protocol. That of Reverb is the same one under another name.
     */
    public function isPusher(): bool
    {
        return in_array($this->driver(), ['pusher', 'reverb'], true);
    }

    /**
     * What the names in `.env` begin with.
     */
    public function prefix(): string
    {
        return $this->driver() === 'reverb' ? 'REVERB' : 'PUSHER';
    }

    public function key(): string
    {
        return $this->text('key');
    }

    public function secret(): string
    {
        return $this->text('secret');
    }

    public function appId(): string
    {
        return $this->text('app_id');
    }

    /**
     * The host. The library takes a scheme away that somebody has put before it.
     */
    public function host(): string
    {
        return (string) preg_replace('~https?://~', '', $this->option('host'), 1);
    }

    public function scheme(): string
    {
        return strtolower($this->option('scheme')) ?: ($this->isShortForTls() ? 'https' : 'http');
    }

    public function port(): int
    {
        $port = $this->option('port');

        return $port === '' ? ($this->isShortForTls() ? 443 : 80) : (int) $port;
    }

    /**
     * pusher-php-server takes https and 443 if neither scheme nor port is there, unless `useTLS` is false.
     */
    private function isShortForTls(): bool
    {
        $useTls = $this->config['options']['useTLS'] ?? true;

        return $useTls === true && $this->option('scheme') === '' && $this->option('port') === '';
    }

    /**
     * The path before `/apps`, without its last slash.
     */
    public function path(): string
    {
        return rtrim($this->option('path'), '/');
    }

    public function origin(): string
    {
        return "{$this->scheme()}://{$this->host()}:{$this->port()}";
    }

    public function option(string $name): string
    {
        $value = $this->config['options'][$name] ?? '';

        return is_scalar($value) ? (string) $value : '';
    }

    /**
     * Whether requests may take another way than straight to host and port.
     */
    public function hasDetour(): bool
    {
        $options = (array) ($this->config['client_options'] ?? []);
        $client = array_intersect_key($options, ['proxy' => 1, 'curl' => 1, 'handler' => 1]);
        $variable = strtoupper($this->scheme()).'_PROXY';

        return $client !== [] || getenv($variable) !== false || getenv(strtolower($variable)) !== false;
    }

    private function text(string $name): string
    {
        $value = $this->config[$name] ?? '';

        return is_scalar($value) ? (string) $value : '';
    }
}
