<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Console;

use Illuminate\Console\Command;
use PusherServer\Laravel\Install\Connection;
use PusherServer\Laravel\Install\CredentialsFile;
use PusherServer\Laravel\Install\InvalidInput;

/**
 * The values for the install command: of its options, of the file of credentials, of the person, of `.env`.
 *
 * An option is never asked for again. Without interaction the value of `.env` counts, and then the default.
 */
final class Answers
{
    private const ATTEMPTS = 3;

    /** @var array<string, string> */
    private readonly array $credentials;

    /**
     * @param  array<string, string|null>  $current  what `.env` has
     */
    public function __construct(
        private readonly Command $command,
        private readonly array $current,
        private readonly bool $interactive,
    ) {
        $path = $command->option('credentials');
        $this->credentials = $path === null ? [] : CredentialsFile::read($path);
    }

    /**
     * @throws InvalidInput
     */
    public function connection(): Connection
    {
        $credential = Connection::credentialProblem(...);

        return new Connection(
            $this->value(
                'host',
                'PUSHER_HOST',
                'Host of the server, as PHP reaches it',
                Connection::hostProblem(...),
                '127.0.0.1',
            ),
            $this->value('port', 'PUSHER_PORT', 'Port', Connection::portProblem(...), '6001'),
            $this->value('scheme', 'PUSHER_SCHEME', 'Scheme, http or https', Connection::schemeProblem(...), 'http'),
            $this->value('app-id', 'PUSHER_APP_ID', 'App id', $credential),
            $this->value('key', 'PUSHER_APP_KEY', 'Key', $credential),
            $this->secret($credential),
        );
    }

    /**
     * What is different for browsers: PHP's name => value, null if it is the same.
     *
     * @return array<string, string|null>
     *
     * @throws InvalidInput
     */
    public function browser(): array
    {
        $checks = [
            'host' => Connection::hostProblem(...),
            'port' => Connection::portProblem(...),
            'scheme' => Connection::schemeProblem(...),
        ];
        $values = [];
        foreach ($checks as $part => $check) {
            $value = $this->command->option("browser-{$part}");
            if ($value !== null && ($problem = $check($value)) !== null) {
                throw new InvalidInput("--browser-{$part}: {$problem}");
            }
            $values['PUSHER_'.strtoupper($part)] = $value;
        }

        return $values;
    }

    /**
     * @param  callable(string): ?string  $problem
     */
    private function value(
        string $option,
        string $name,
        string $question,
        callable $problem,
        string $default = '',
    ): string {
        $current = $this->current[$name] ?? '';
        $default = $current !== '' && $problem($current) === null ? $current : $default;
        $given = $this->command->option($option) ?? $this->credentials[$name] ?? null;

        return $this->checked(
            $given,
            fn (): string => (string) $this->command->ask($question, $default === '' ? null : $default),
            $default,
            "--{$option}",
            $problem,
        );
    }

    /**
     * @param  callable(string): ?string  $problem
     */
    private function secret(callable $problem): string
    {
        $current = $this->current['PUSHER_APP_SECRET'] ?? '';
        $kept = $current === '' ? '' : ' (empty: the one that .env has)';
        $ask = function () use ($kept, $current): string {
            $answer = (string) $this->command->secret("Secret{$kept}");

            return $answer === '' ? $current : $answer;
        };

        return $this->checked(
            $this->credentials['PUSHER_APP_SECRET'] ?? null,
            $ask,
            $current,
            'PUSHER_APP_SECRET of --credentials=FILE',
            $problem,
        );
    }

    /**
     * @param  callable(): string  $ask
     * @param  callable(string): ?string  $problem
     */
    private function checked(?string $given, callable $ask, string $default, string $source, callable $problem): string
    {
        $interactive = $given === null && $this->interactive;
        for ($attempt = 1; ; $attempt++) {
            $value = $given ?? ($interactive ? $ask() : $default);
            $text = $problem($value);
            if ($text === null) {
                return $value;
            }
            if (!$interactive || $attempt === self::ATTEMPTS) {
                throw new InvalidInput("{$source}: {$text}");
            }
            $this->command->error($text);
        }
    }
}
