<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Tests;

use Illuminate\Cache\ArrayStore;
use Illuminate\Cache\Repository as Cache;
use Illuminate\Config\Repository as Config;
use Illuminate\Events\Dispatcher;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use PHPUnit\Framework\TestCase;
use PusherServer\Laravel\Events\ChannelOccupied;
use PusherServer\Laravel\Events\ClientEvent;
use PusherServer\Laravel\Webhooks\Credentials;
use PusherServer\Laravel\Webhooks\Dispatched;
use PusherServer\Laravel\Webhooks\WebhookController;
use RuntimeException;

final class WebhooksTest extends TestCase
{
    private const SECRET = 'webhook-secret';

    private Dispatcher $events;

    private Dispatched $dispatched;

    /** @var array<string> channels */
    private array $seen = [];

    protected function setUp(): void
    {
        $this->events = new Dispatcher();
        $this->dispatched = new Dispatched(new Cache(new ArrayStore()), 86_400, 60);
        $this->events->listen(ChannelOccupied::class, function (ChannelOccupied $event): void {
            $this->seen[] = $event->channel;
        });
    }

    public function testABatchGoesOnWhereAListenerFailed(): void
    {
        $fails = true;
        $this->events->listen(ChannelOccupied::class, function (ChannelOccupied $event) use (&$fails): void {
            if ($event->channel === 'b' && $fails) {
                throw new RuntimeException('once');
            }
        });
        $body = $this->body('a', 'b', 'c');
        try {
            $this->send($body, '1,2,3');
            self::fail('the exception is Laravel\'s to answer, with 500');
        } catch (RuntimeException $error) {
            self::assertSame('once', $error->getMessage());
        }
        $fails = false;
        self::assertSame(204, $this->send($body, '1,2,3')->getStatusCode());
        self::assertSame(['a', 'b', 'b', 'c'], $this->seen, 'a was done, b is done again, c had not begun');
        self::assertSame(204, $this->send($body, '1,2,3')->getStatusCode());
        self::assertCount(4, $this->seen);
    }

    public function testWhatAnotherRequestDispatchesIsAskedForAgain(): void
    {
        self::assertSame(Dispatched::NEW, $this->dispatched->claim(['id/1']));
        $answer = $this->send($this->body('a'), '1');
        self::assertSame([503, '5'], [$answer->getStatusCode(), $answer->headers->get('Retry-After')]);
        self::assertSame([], $this->seen);
        $this->dispatched->release(['id/1']);
        self::assertSame(204, $this->send($this->body('a'), '1')->getStatusCode());
        self::assertSame(['a'], $this->seen);
    }

    public function testARepeatInANewBodyUsesThatBodyUp(): void
    {
        $this->send($this->body('a'), '1');
        $second = $this->body('a', 'b');
        $this->send($second, '1,2');
        $this->send($second, '3,4');
        self::assertSame(['a', 'b'], $this->seen);
    }

    public function testWithoutIdsTheSameBytesAreARepeat(): void
    {
        $body = $this->body('a', 'b');
        $this->send($body);
        $this->send($body);
        self::assertSame(['a', 'b'], $this->seen);
        $this->send($this->body('a', 'c'));
        self::assertSame(['a', 'b', 'a', 'c'], $this->seen);
    }

    public function testAMalformedEventRefusesTheWholeBody(): void
    {
        $events = [['name' => 'channel_occupied', 'channel' => 'a'], ['name' => 'channel_occupied', 'channel' => 7]];
        self::assertSame(400, $this->send($this->encoded($events), '1,2')->getStatusCode());
        self::assertSame([], $this->seen);
    }

    public function testADeclaredLengthBeyondTheLimitIsRefusedUnread(): void
    {
        $request = $this->request($this->body('a'), '1');
        $request->headers->set('Content-Length', '4194305');
        self::assertSame(413, $this->controller()($request)->getStatusCode());
    }

    public function testDataOfClientsIsDecodedOnRequest(): void
    {
        $event = fn (string $data): ClientEvent => new ClientEvent('c', 'client-x', $data, '1.1', null, '', 0, '');
        self::assertSame(['a' => [1]], $event('{"a":[1]}')->decoded());
        self::assertNull($event('no JSON')->decoded());
    }

    public function testEachPusherConnectionHasAKey(): void
    {
        $config = new Config([
            'broadcasting' => ['connections' => [
                'pusher' => ['driver' => 'pusher', 'key' => 'one', 'secret' => 's1'],
                'reverb' => ['driver' => 'reverb', 'key' => '2', 'secret' => 's2'],
                'other' => ['driver' => 'redis', 'key' => 'three', 'secret' => 's3'],
                'empty' => ['driver' => 'pusher', 'key' => 'four', 'secret' => null],
            ]],
            'pusher-server' => ['webhooks' => ['keys' => '{"five":"s5","six":6}']],
        ]);
        $credentials = Credentials::of($config);
        foreach (['one' => 's1', '2' => 's2', 'five' => 's5'] as $key => $secret) {
            $credentials->verify((string) $key, hash_hmac('sha256', 'body', $secret), 'body');
        }
        foreach (['three' => 's3', 'four' => '', 'six' => '6'] as $key => $secret) {
            try {
                $credentials->verify($key, hash_hmac('sha256', 'body', $secret), 'body');
                self::fail("{$key} is no key");
            } catch (\PusherServer\Laravel\Webhooks\Refused $refused) {
                self::assertSame(401, $refused->status);
            }
        }
    }

    private function body(string ...$channels): string
    {
        return $this->encoded(array_map(
            fn (string $channel): array => ['name' => 'channel_occupied', 'channel' => $channel],
            $channels,
        ));
    }

    /**
     * @param  array<mixed>  $events
     */
    private function encoded(array $events): string
    {
        return json_encode(['time_ms' => time() * 1000, 'events' => $events], JSON_THROW_ON_ERROR);
    }

    private function send(string $body, string $ids = ''): Response
    {
        return $this->controller()($this->request($body, $ids));
    }

    private function request(string $body, string $ids): Request
    {
        $request = Request::create('/hooks', 'POST', content: $body);
        $request->headers->set('X-Pusher-Key', 'key');
        $request->headers->set('X-Pusher-Signature', hash_hmac('sha256', $body, self::SECRET));
        $ids === '' || $request->headers->set('X-Pusher-Server-Event-Ids', $ids);

        return $request;
    }

    private function controller(): WebhookController
    {
        $credentials = new Credentials(['key' => self::SECRET]);

        return new WebhookController(new Config([]), $credentials, $this->dispatched, $this->events);
    }
}
