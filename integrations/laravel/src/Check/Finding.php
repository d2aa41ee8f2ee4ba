<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

/**
 * The outcome of one step: a sentence, and what to paste or to do if something is wrong.
 */
final class Finding
{
    public const RIGHT = '✓';

    public const WRONG = '✗';

    public const UNKNOWN = '?';

    /**
     * @param  array<string>  $fix  lines to paste
     */
    private function __construct(
        public readonly string $mark,
        public readonly string $text,
        public readonly array $fix = [],
    ) {
    }

    public static function right(string $text): self
    {
        return new self(self::RIGHT, $text);
    }

    public static function wrong(string $text, string ...$fix): self
    {
        return new self(self::WRONG, $text, $fix);
    }

    public static function unknown(string $text, string ...$fix): self
    {
        return new self(self::UNKNOWN, $text, $fix);
    }
}
