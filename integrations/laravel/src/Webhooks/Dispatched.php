<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Webhooks;

use Illuminate\Contracts\Cache\Repository;

/**
 * Which events were dispatched, in the cache, so that a repetition is not dispatched again.
 *
 * An event has up to two names: the id that the server gives it, and its place in a body with this signature. The id
 * is the same in a new body. The signature holds for who repeats a request with other ids, which nothing signs. An
 * event is claimed before its listeners run, and done when they have returned.
 */
final class Dispatched
{
    public const NEW = 'new';

    public const CLAIMED = 'claimed';

    public const DONE = 'done';

    public function __construct(
        private readonly Repository $cache,
        private readonly int $remembered,
        private readonly int $claimed,
    ) {
    }

    /**
     * Claim an event. Returns NEW if the caller has it now, CLAIMED if another process has it, DONE if it is a repeat.
     *
     * @param  array<string>  $names
     */
    public function claim(array $names): string
    {
        $claimed = [];
        foreach ($names as $name) {
            if (!$this->cache->add($this->cacheKey($name), self::CLAIMED, $this->claimed)) {
                $repeat = $this->cache->get($this->cacheKey($name)) === self::DONE;
                // A repeat in a new body: this body is done with as well, whatever ids it is given later.
                $repeat ? $this->done($claimed) : $this->release($claimed);

                return $repeat ? self::DONE : self::CLAIMED;
            }
            $claimed[] = $name;
        }

        return self::NEW;
    }

    /**
     * @param  array<string>  $names
     */
    public function done(array $names): void
    {
        foreach ($names as $name) {
            $this->cache->put($this->cacheKey($name), self::DONE, $this->remembered);
        }
    }

    /**
     * Let the event be claimed again: its listeners have failed.
     *
     * @param  array<string>  $names
     */
    public function release(array $names): void
    {
        foreach ($names as $name) {
            $this->cache->forget($this->cacheKey($name));
        }
    }

    private function cacheKey(string $name): string
    {
        return 'pusher-server:webhook:'.hash('sha256', $name); // memcached takes 250 bytes, without blanks
    }
}
