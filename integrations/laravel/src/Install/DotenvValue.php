<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Install;

/**
 * A value as it is written into a `.env` file.
 *
 * The rules are those of vlucas/phpdotenv 5, which Laravel 8 and newer use: an unquoted value ends at a blank or at "#",
 * "$" begins a reference except between single quotes, and a backslash escapes between double quotes only.
 */
final class DotenvValue
{
    private const PLAIN = '~\A[A-Za-z0-9_.:/@%+,*=-]*\z~';

    /**
     * The value in the quotes of the value that it replaces, where these can hold it.
     *
     * @param  string  $quote  "'", '"', or "" for none
     */
    public static function encode(string $value, string $quote = ''): string
    {
        if ($quote === '' && preg_match(self::PLAIN, $value) === 1) {
            return $value;
        }
        if ($quote !== '"' && !str_contains($value, "'")) {
            return "'{$value}'";
        }

        return '"'.addcslashes($value, '"\\$').'"';
    }

    /**
     * A value that refers to another name of the file, as Laravel's own `.env.example` does for the browser's lines.
     */
    public static function reference(string $name): string
    {
        return "\"\${{$name}}\"";
    }
}
