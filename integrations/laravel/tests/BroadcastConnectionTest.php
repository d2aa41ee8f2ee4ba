<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Tests;

use Illuminate\Config\Repository;
use PHPUnit\Framework\TestCase;
use PusherServer\Laravel\Check\BroadcastConnection;
use PusherServer\Laravel\Check\ConnectionStep;
use PusherServer\Laravel\Check\Finding;

final class BroadcastConnectionTest extends TestCase
{
    /**
     * @return array<string, array{array<string, mixed>, string}> options, and where the library sends its requests
     */
    public static function options(): array
    {
        return [
            'all' => [['host' => 'h', 'port' => '6001', 'scheme' => 'https', 'useTLS' => true], 'https://h:6001'],
            'scheme before the host' => [['host' => 'http://h', 'port' => 6001, 'scheme' => 'http'], 'http://h:6001'],
            'capitals' => [['host' => 'h', 'port' => 1, 'scheme' => 'HTTPS'], 'https://h:1'],
            'TLS by the short way' => [['host' => 'h', 'useTLS' => true], 'https://h:443'],
            'TLS by default' => [['host' => 'h'], 'https://h:443'],
            'no TLS' => [['host' => 'h', 'useTLS' => false], 'http://h:80'],
            'a port alone' => [['host' => 'h', 'port' => 6001, 'useTLS' => true], 'http://h:6001'],
            'a scheme alone' => [['host' => 'h', 'scheme' => 'https', 'useTLS' => true], 'https://h:80'],
        ];
    }

    /**
     * @dataProvider options
     *
     * @param  array<string, mixed>  $options
     */
    public function testTheAddressIsThatOfTheLibrary(array $options, string $origin): void
    {
        self::assertSame($origin, $this->connection($options)->origin());
    }

    public function testReverbHasNamesOfItsOwn(): void
    {
        $connection = $this->connection(['host' => ''], 'reverb');
        $finding = (new ConnectionStep($connection, 'BROADCAST_CONNECTION'))->run();
        self::assertSame(Finding::WRONG, $finding->mark);
        self::assertTrue($connection->isPusher());
        self::assertSame('REVERB', $connection->prefix());
    }

    /**
     * @param  array<string, mixed>  $options
     */
    private function connection(array $options, string $driver = 'pusher'): BroadcastConnection
    {
        $settings = ['driver' => $driver, 'key' => 'k', 'secret' => 's', 'app_id' => '1', 'options' => $options];

        return BroadcastConnection::of(new Repository([
            'broadcasting' => ['default' => 'x', 'connections' => ['x' => $settings]],
        ]));
    }
}
