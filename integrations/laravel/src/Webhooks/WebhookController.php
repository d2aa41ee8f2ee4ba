<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Webhooks;

use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Contracts\Events\Dispatcher;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use PusherServer\Laravel\Events\WebhookEvent;
use Throwable;

/**
 * Takes the server's webhooks: signature, time and repeats are checked, then each event is dispatched.
 *
 * A listener that throws answers 500, and the server sends the request again. Its events that were dispatched before
 * are not dispatched twice. Work that takes longer than a second belongs into a queue: the server waits 10 s.
 */
class WebhookController
{
    /** An event that another process dispatches at this moment is asked for again in so many seconds. */
    private const RETRY_AFTER = 5;

    public function __construct(
        private readonly Config $config,
        private readonly Credentials $credentials,
        private readonly Dispatched $dispatched,
        private readonly Dispatcher $events,
    ) {
    }

    public function __invoke(Request $request): Response
    {
        try {
            $this->receive($request);
        } catch (Refused $refused) {
            $headers = ['Content-Type' => 'text/plain; charset=utf-8'];
            if ($refused->status === 503) {
                $headers['Retry-After'] = (string) self::RETRY_AFTER;
            }

            return new Response($refused->getMessage()."\n", $refused->status, $headers);
        }

        return new Response('', 204);
    }

    private function receive(Request $request): void
    {
        $body = $this->body($request);
        $key = (string) $request->headers->get('X-Pusher-Key', '');
        $signature = (string) $request->headers->get('X-Pusher-Signature', '');
        $this->credentials->verify($key, $signature, $body);
        $webhook = json_decode($body, true);
        if (!is_array($webhook) || !is_int($webhook['time_ms'] ?? null) || !is_array($webhook['events'] ?? null)) {
            throw new Refused(400, 'The body is no webhook: it needs time_ms and events');
        }
        $this->checkTime($webhook['time_ms']);
        $ids = explode(',', (string) $request->headers->get('X-Pusher-Server-Event-Ids', ''));
        $reader = new EventReader($webhook['time_ms'], $key);
        $events = [];
        foreach (array_values($webhook['events']) as $place => $event) {
            $id = trim($ids[$place] ?? '');
            $names = array_filter(["{$signature}/{$place}", $id === '' ? '' : "id/{$id}"]);
            $events[] = [$reader->read($event, $id), $names];
        }
        foreach ($events as [$event, $names]) { // after all were read: a malformed one refuses the whole
            $event === null || $this->dispatch($event, $names);
        }
    }

    /**
     * The bytes as they came, never more than may be.
     */
    private function body(Request $request): string
    {
        $most = (int) $this->config->get('pusher-server.webhooks.max_bytes', 4_194_304);
        $length = (int) $request->headers->get('Content-Length', '0');
        $body = $length > $most ? false : stream_get_contents($request->getContent(true), $most + 1);
        if ($body === false || strlen($body) > $most) {
            throw new Refused(413, "The body has more than {$most} bytes: pusher-server.webhooks.max_bytes");
        }

        return $body;
    }

    private function checkTime(int $milliseconds): void
    {
        $tolerance = (int) $this->config->get('pusher-server.webhooks.tolerance', 300);
        $late = time() - intdiv($milliseconds, 1000);
        if (abs($late) > $tolerance) {
            throw new Refused(
                401,
                "The body is {$late} s old, {$tolerance} are allowed: compare both machines' clocks",
            );
        }
    }

    /**
     * @param  array<string>  $names
     */
    private function dispatch(WebhookEvent $event, array $names): void
    {
        $state = $this->dispatched->claim($names);
        if ($state === Dispatched::CLAIMED) {
            throw new Refused(503, 'The event is being dispatched by another request, and may still fail there');
        }
        if ($state === Dispatched::DONE) {
            return;
        }
        try {
            $this->events->dispatch($event);
        } catch (Throwable $error) {
            $this->dispatched->release($names);
            throw $error;
        }
        $this->dispatched->done($names);
    }
}
