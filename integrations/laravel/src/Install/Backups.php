<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Install;

/**
 * The files as they were before each change, so that the changes can be taken back, the latest first.
 *
 * A backup holds the old bytes, secrets too. So its folder and its files are for their owner only, and a `.gitignore`
 * of their own keeps them out of git.
 */
final class Backups
{
    private const KEPT = 20;

    public function __construct(private readonly string $folder)
    {
    }

    /**
     * Keep what these files hold now. Returns the path of the backup.
     *
     * @param  array<string, string>  $changes  path => the bytes that will be written
     *
     * @throws InvalidInput if the folder cannot be written
     */
    public function keep(array $changes): string
    {
        $parent = dirname($this->folder);
        $hasParent = is_dir($parent) || @mkdir($parent, 0755, true);
        $there = is_dir($this->folder) || ($hasParent && @mkdir($this->folder, 0700));
        if (!$there || @file_put_contents("{$this->folder}/.gitignore", "*\n") === false) {
            throw new InvalidInput("{$this->folder} cannot be made, and without a backup nothing is changed");
        }
        $files = [];
        foreach ($changes as $path => $bytes) {
            $old = is_file($path) ? (string) file_get_contents($path) : null;
            $files[] = [
                'path' => $path,
                'before' => $old === null ? null : base64_encode($old),
                'after' => hash('sha256', $bytes),
            ];
        }
        $names = $this->names();
        $number = $names === [] ? 1 : (int) basename(end($names)) + 1;
        $path = sprintf('%s/%06d.json', $this->folder, $number);
        FileReplacement::write($path, json_encode($files, JSON_THROW_ON_ERROR), 0600);
        foreach (array_slice($names, 0, -self::KEPT + 1) as $old) {
            @unlink($old);
        }

        return $path;
    }

    /**
     * Put the latest backup's files back and forget it. Returns the paths.
     *
     * @return array<string>
     *
     * @throws InvalidInput if there is none, or if a file was edited since and `$force` is not given
     */
    public function restore(bool $force): array
    {
        $names = $this->names();
        if ($names === []) {
            throw new InvalidInput('There is nothing to restore: pusher-server:install has changed no file here');
        }
        $latest = end($names);
        $files = json_decode((string) file_get_contents($latest), true);
        if (!is_array($files)) {
            throw new InvalidInput("{$latest} is damaged: remove it to reach the backup before it");
        }
        foreach ($force ? [] : $files as ['path' => $path, 'after' => $after]) {
            if (is_file($path) && hash_file('sha256', $path) !== $after) {
                throw new InvalidInput(
                    "{$path} was edited after pusher-server:install, and these edits would be lost: "
                    .'add --force, or take the lines out by hand'
                );
            }
        }
        $this->putBack($files);
        @unlink($latest);

        return array_column($files, 'path');
    }

    /**
     * Take back what was written of a change that failed half-way, and forget its backup.
     *
     * @param  string  $backup  what `keep` has returned
     */
    public function cancel(string $backup): void
    {
        $files = (array) json_decode((string) file_get_contents($backup), true);
        $this->putBack(array_filter(
            $files,
            fn (array $file): bool => is_file($file['path']) && hash_file('sha256', $file['path']) === $file['after'],
        ));
        @unlink($backup);
    }

    /**
     * @param  array<array{path: string, before: string|null, after: string}>  $files
     */
    private function putBack(array $files): void
    {
        foreach ($files as ['path' => $path, 'before' => $before]) {
            if ($before === null) {
                @unlink($path);
            } else {
                FileReplacement::write($path, (string) base64_decode($before, true));
            }
        }
    }

    /**
     * @return array<string> paths, the oldest first
     */
    private function names(): array
    {
        return glob($this->folder.'/[0-9]*.json') ?: [];
    }
}
