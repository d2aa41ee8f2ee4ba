<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use PusherServer\Laravel\Install\BroadcastingConfig;
use PusherServer\Laravel\Install\Connection;
use PusherServer\Laravel\Install\EchoLines;

final class ConnectionTest extends TestCase
{
    public function testHosts(): void
    {
        foreach (['ws.example.com', '127.0.0.1', '[::1]', 'localhost', 'my_redis-1'] as $host) {
            self::assertNull(Connection::hostProblem($host), $host);
        }
        foreach (['', 'http://x', 'x/y', 'x:6001', '::1', 'a b', '-x', "x\n", 'x.'] as $host) {
            self::assertNotNull(Connection::hostProblem($host), $host);
        }
    }

    public function testPortsAndSchemes(): void
    {
        foreach (['1', '6001', '65535'] as $port) {
            self::assertNull(Connection::portProblem($port), $port);
        }
        foreach (['', '0', '65536', '99999', '-1', '06001', '6001 ', 'http', "80\n"] as $port) {
            self::assertNotNull(Connection::portProblem($port), $port);
        }
        self::assertNull(Connection::schemeProblem('https'));
        foreach (['', 'wss', 'HTTP', "http\n"] as $scheme) {
            self::assertNotNull(Connection::schemeProblem($scheme), $scheme);
        }
    }

    public function testCredentialsAreNotRepeated(): void
    {
        foreach (['app-key', 'p#1$', "it's"] as $value) {
            self::assertNull(Connection::credentialProblem($value), $value);
        }
        foreach (['', 'my secret', "secret\n", 'null', 'TRUE', '(empty)', '"secret"', "'secret'"] as $value) {
            $problem = Connection::credentialProblem($value);
            self::assertNotNull($problem, $value);
            self::assertStringNotContainsString('secret', $problem);
        }
    }

    /**
     * @return array<string, array{string|null, string, string, bool}> file, Laravel, variable, complete
     */
    public static function configurations(): array
    {
        $new = "'default' => env('BROADCAST_CONNECTION', 'null'), env('PUSHER_HOST'), env('PUSHER_PORT'), env('PUSHER_SCHEME')";

        return [
            'Laravel 11 without a file' => [null, '11.0.0', 'BROADCAST_CONNECTION', true],
            'Laravel 10 without a file' => [null, '10.48.0', 'BROADCAST_DRIVER', true],
            'of Laravel 11' => [$new, '11.0.0', 'BROADCAST_CONNECTION', true],
            'of Laravel 8' => ["env('BROADCAST_DRIVER', 'null')", '8.83.0', 'BROADCAST_DRIVER', false],
            'kept since Laravel 8' => ["env(\"BROADCAST_DRIVER\", 'null')", '12.0.0', 'BROADCAST_DRIVER', false],
            'both' => ["env('BROADCAST_CONNECTION', env('BROADCAST_DRIVER'))", '8.83.0', 'BROADCAST_CONNECTION', false],
        ];
    }

    /**
     * @dataProvider configurations
     */
    public function testTheVariableIsTheOneThatTheFileReads(
        ?string $text,
        string $laravel,
        string $variable,
        bool $complete,
    ): void {
        $folder = sys_get_temp_dir().'/pusher-server-'.bin2hex(random_bytes(8));
        mkdir($folder);
        $text === null || file_put_contents("{$folder}/broadcasting.php", "<?php return [{$text}];");
        $config = BroadcastingConfig::of($folder, $laravel);
        self::assertSame($variable, $config->variable());
        self::assertSame($complete, $config->missingOptions() === '');
        @unlink("{$folder}/broadcasting.php");
        rmdir($folder);
    }

    public function testEchoReadsTheNamesThatAreWritten(): void
    {
        foreach (['VITE', 'MIX'] as $prefix) {
            $echo = new EchoLines($prefix);
            foreach (array_keys($echo->names()) as $name) {
                self::assertStringContainsString($name, $echo->script());
            }
        }
    }
}
