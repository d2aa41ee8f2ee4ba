<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Install;

/**
 * Replaces a file as a whole: a reader sees the old bytes or the new ones.
 */
final class FileReplacement
{
    /**
     * Write the bytes; a new file gets `$mode`, an existing one keeps its mode, its owner and its symbolic link.
     *
     * @throws InvalidInput if the file cannot be written
     */
    public static function write(string $path, string $bytes, int $mode = 0644): void
    {
        $target = realpath($path) ?: $path; // deployment tools link .env into each release
        $status = is_file($target) ? stat($target) : false;
        if (is_file($target) && !is_writable($target)) {
            throw new InvalidInput("{$path} is not writable: run this as the user who owns it");
        }
        if (self::replace($target, $bytes, $status === false ? $mode : $status['mode'] & 0777, $status)) {
            return;
        }
        // A file that is mounted into a container can be written, but not replaced; so can one in a closed folder.
        if (@file_put_contents($target, $bytes, LOCK_EX) !== strlen($bytes)) {
            throw new InvalidInput(
                "{$path} cannot be written: look at its folder's owner and at the space on the disk",
            );
        }
        if ($status === false) {
            @chmod($target, $mode);
        }
    }

    /**
     * @param  array<mixed>|false  $status  of the file that is replaced
     */
    private static function replace(string $target, string $bytes, int $mode, array|false $status): bool
    {
        $temporary = @tempnam(dirname($target), '.pusher-server-');
        if ($temporary === false || dirname($temporary) !== dirname($target)) { // it falls back to another folder
            $temporary === false || @unlink($temporary);

            return false;
        }
        $done = @file_put_contents($temporary, $bytes) === strlen($bytes)
            && @chmod($temporary, $mode)
            && ($status === false || self::hasOwner($temporary, $status))
            && @rename($temporary, $target);
        $done || @unlink($temporary);

        return $done;
    }

    /**
     * @param  array<mixed>  $status
     */
    private static function hasOwner(string $path, array $status): bool
    {
        $own = stat($path);
        if ($own !== false && $own['uid'] === $status['uid'] && $own['gid'] === $status['gid']) {
            return true;
        }

        return @chown($path, $status['uid']) && @chgrp($path, $status['gid']);
    }
}
