<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Install;

/**
 * Reads PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET from a file or from standard input.
 *
 * That is how a script hands over a secret: a command line can be seen by every user of the machine. The file that
 * `pusher-server serve --make-credentials FILE` writes is of this form.
 */
final class CredentialsFile
{
    private const BYTES = 65_536;

    /**
     * @return array<string, string> those of the three names that are there
     *
     * @throws InvalidInput
     */
    public static function read(string $path): array
    {
        $shown = $path === '-' ? 'Standard input' : $path;
        $text = @file_get_contents($path === '-' ? 'php://stdin' : $path, false, null, 0, self::BYTES);
        if ($text === false) {
            throw new InvalidInput("{$shown} cannot be read: it should have the credentials");
        }
        $names = ['PUSHER_APP_ID', 'PUSHER_APP_KEY', 'PUSHER_APP_SECRET'];
        try {
            $values = array_intersect_key((new DotenvFile($text))->values(), array_flip($names));
        } catch (InvalidInput) {
            throw new InvalidInput("{$shown} is no file of credentials: each of its lines is NAME=value");
        }
        if ($values === []) {
            throw new InvalidInput("{$shown} has none of the lines ".implode('=, ', $names).'=');
        }

        return array_map('strval', $values);
    }
}
