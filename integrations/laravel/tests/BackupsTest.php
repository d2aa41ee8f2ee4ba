<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use PusherServer\Laravel\Install\Backups;
use PusherServer\Laravel\Install\FileReplacement;
use PusherServer\Laravel\Install\InvalidInput;

final class BackupsTest extends TestCase
{
    private string $folder;

    protected function setUp(): void
    {
        $this->folder = sys_get_temp_dir().'/pusher-server-'.bin2hex(random_bytes(8));
        mkdir($this->folder);
    }

    protected function tearDown(): void
    {
        foreach (array_merge(glob("{$this->folder}/{,*/}{,.}*", GLOB_BRACE) ?: []) as $path) {
            is_file($path) && unlink($path);
        }
        @rmdir("{$this->folder}/kept");
        rmdir($this->folder);
    }

    public function testChangesAreTakenBackTheLatestFirst(): void
    {
        $path = $this->file("one\xff\n");
        $made = "{$this->folder}/made.js";
        $backups = new Backups("{$this->folder}/kept");
        $this->change($backups, [$path => "two\n", $made => 'new']);
        $this->change($backups, [$path => "three\n"]);
        self::assertSame([$path], $backups->restore(false));
        self::assertSame("two\n", file_get_contents($path));
        self::assertSame([$path, $made], $backups->restore(false));
        self::assertSame("one\xff\n", file_get_contents($path));
        self::assertFileDoesNotExist($made);
        $this->expectException(InvalidInput::class);
        $this->expectExceptionMessage('nothing to restore');
        $backups->restore(false);
    }

    public function testEditsSinceAreLostOnlyByForce(): void
    {
        $path = $this->file("one\n");
        $backups = new Backups("{$this->folder}/kept");
        $this->change($backups, [$path => "two\n"]);
        file_put_contents($path, "two\nedited\n");
        try {
            $backups->restore(false);
            self::fail('edits were lost');
        } catch (InvalidInput $error) {
            self::assertStringContainsString('was edited', $error->getMessage());
        }
        self::assertSame("two\nedited\n", file_get_contents($path));
        $backups->restore(true);
        self::assertSame("one\n", file_get_contents($path));
    }

    public function testAChangeThatFailsHalfWayIsTakenBack(): void
    {
        $path = $this->file("one\n");
        $backups = new Backups("{$this->folder}/kept");
        $this->change($backups, [$path => "two\n"]);
        $changes = [$path => "three\n", "{$this->folder}/missing/file" => 'x'];
        $backup = $backups->keep($changes);
        FileReplacement::write($path, "three\n");
        try {
            FileReplacement::write("{$this->folder}/missing/file", 'x');
            self::fail('the folder is missing');
        } catch (InvalidInput $error) {
            self::assertStringContainsString('cannot be written', $error->getMessage());
        }
        $backups->cancel($backup);
        self::assertSame("two\n", file_get_contents($path));
        self::assertSame([$path], $backups->restore(false), 'the backup before it is the latest again');
        self::assertSame("one\n", file_get_contents($path));
    }

    public function testABackupIsForItsOwnerOnlyAndOutOfGit(): void
    {
        $backup = (new Backups("{$this->folder}/kept"))->keep([$this->file('SECRET=x') => '']);
        self::assertSame(0600, fileperms($backup) & 0777);
        self::assertSame(0700, fileperms(dirname($backup)) & 0777);
        self::assertSame("*\n", file_get_contents("{$this->folder}/kept/.gitignore"));
    }

    public function testOnlyTheLatestAreKept(): void
    {
        $path = $this->file('0');
        $backups = new Backups("{$this->folder}/kept");
        for ($number = 1; $number <= 25; $number++) {
            $this->change($backups, [$path => (string) $number]);
        }
        self::assertCount(20, glob("{$this->folder}/kept/*.json") ?: []);
        for ($number = 24; $number >= 5; $number--) {
            $backups->restore(false);
            self::assertSame((string) $number, file_get_contents($path));
        }
    }

    public function testAReplacedFileKeepsItsModeAndItsLink(): void
    {
        $path = $this->file('old');
        chmod($path, 0640);
        $link = "{$this->folder}/link";
        symlink($path, $link);
        FileReplacement::write($link, 'new');
        self::assertTrue(is_link($link));
        clearstatcache();
        self::assertSame(['new', 0640], [file_get_contents($path), fileperms($path) & 0777]);
        self::assertSame([], glob("{$this->folder}/.pusher-server-*"), 'no temporary file is left');
    }

    private function file(string $bytes): string
    {
        $path = "{$this->folder}/.env";
        file_put_contents($path, $bytes);

        return $path;
    }

    /**
     * @param  array<string, string>  $changes
     */
    private function change(Backups $backups, array $changes): void
    {
        $backups->keep($changes);
        foreach ($changes as $path => $bytes) {
            FileReplacement::write($path, $bytes);
        }
    }
}
