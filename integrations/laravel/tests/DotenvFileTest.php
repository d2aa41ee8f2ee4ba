<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use PusherServer\Laravel\Install\DotenvFile;
use PusherServer\Laravel\Install\DotenvValue;
use PusherServer\Laravel\Install\InvalidInput;

final class DotenvFileTest extends TestCase
{
    /**
     * @return array<string, array{string, string}> the file before and after PUSHER_HOST=ws.test is set
     */
    public static function files(): array
    {
        return [
            'empty' => ['', "PUSHER_HOST=ws.test\n"],
            'appended' => ["A=1\n", "A=1\nPUSHER_HOST=ws.test\n"],
            'no last line end' => ['A=1', "A=1\nPUSHER_HOST=ws.test\n"],
            'line ends of Windows' => ["A=1\r\nB=2", "A=1\r\nB=2\r\nPUSHER_HOST=ws.test\r\n"],
            'replaced, Windows' => ["PUSHER_HOST=x\r\nB=2\r\n", "PUSHER_HOST=ws.test\r\nB=2\r\n"],
            'byte order mark' => ["\u{FEFF}PUSHER_HOST=x\n", "\u{FEFF}PUSHER_HOST=ws.test\n"],
            'comment kept' => ["PUSHER_HOST=x # here\n", "PUSHER_HOST=ws.test # here\n"],
            'comment without a blank' => ["PUSHER_HOST=x#here\n", "PUSHER_HOST=ws.test#here\n"],
            'only a comment' => ["PUSHER_HOST= # none\n", "PUSHER_HOST=ws.test # none\n"],
            'double quotes' => ["PUSHER_HOST=\"x y\" # z\n", "PUSHER_HOST=\"ws.test\" # z\n"],
            'single quotes' => ["PUSHER_HOST='x y'\n", "PUSHER_HOST='ws.test'\n"],
            'escaped quote' => ["PUSHER_HOST=\"x\\\"y\" # z\n", "PUSHER_HOST=\"ws.test\" # z\n"],
            'export and blanks' => ["  export  PUSHER_HOST = x\n", "  export  PUSHER_HOST = ws.test\n"],
            'nothing' => ["PUSHER_HOST=\nB=2\n", "PUSHER_HOST=ws.test\nB=2\n"],
            'nothing, at the end' => ['PUSHER_HOST=', 'PUSHER_HOST=ws.test'],
            'the last one counts' => ["PUSHER_HOST=a\nPUSHER_HOST=b\n", "PUSHER_HOST=a\nPUSHER_HOST=ws.test\n"],
            'in a comment' => ["# PUSHER_HOST=x\n", "# PUSHER_HOST=x\nPUSHER_HOST=ws.test\n"],
            'a longer name' => ["MY_PUSHER_HOST=x\n", "MY_PUSHER_HOST=x\nPUSHER_HOST=ws.test\n"],
            'a value of several lines' => [
                "KEY=\"one\nPUSHER_HOST=no\ntwo\" # c\nPUSHER_HOST=x\n",
                "KEY=\"one\nPUSHER_HOST=no\ntwo\" # c\nPUSHER_HOST=ws.test\n",
            ],
            'other bytes' => ["A='\xff\xfe'\n\n\n#\t é\nPUSHER_HOST=x\n", "A='\xff\xfe'\n\n\n#\t é\nPUSHER_HOST=ws.test\n"],
            'a reference' => ["H=a\nPUSHER_HOST=\"\${H}\"\n", "H=a\nPUSHER_HOST=\"ws.test\"\n"],
            'a reference with this value' => ["H=ws.test\nPUSHER_HOST=\${H}\n", "H=ws.test\nPUSHER_HOST=\${H}\n"],
            'this value in quotes' => ["PUSHER_HOST='ws.test'\n", "PUSHER_HOST='ws.test'\n"],
        ];
    }

    /**
     * @dataProvider files
     */
    public function testAllOtherBytesStay(string $before, string $after): void
    {
        $file = new DotenvFile($before);
        $file->set('PUSHER_HOST', 'ws.test');
        self::assertSame($after, $file->text());
        self::assertSame('ws.test', $file->values()['PUSHER_HOST']);
        $file->set('PUSHER_HOST', 'ws.test');
        self::assertSame($after, $file->text(), 'a second time nothing is left to change');
    }

    /**
     * @return array<array{string}>
     */
    public static function values(): array
    {
        $values = ['plain', 'a b', 'a#b', '$HOME', '${A}', "it's", 'say "hi"', 'back\\slash', "all ' \" \\ $ # ", '\\n', '=', 'é'];

        return array_map(fn (string $value): array => [$value], $values);
    }

    /**
     * @dataProvider values
     */
    public function testEachValueIsReadBackWhateverQuotesThereWere(string $value): void
    {
        foreach (['', 'X=y', "X='y'", 'X="y"', 'X=y # comment'] as $before) {
            $file = new DotenvFile("A=1\n{$before}\nB=2\n");
            $file->set('X', $value);
            self::assertSame($value, $file->values()['X'], $file->text());
            self::assertSame('2', $file->values()['B']);
        }
    }

    public function testAReferenceFollowsItsTarget(): void
    {
        $file = new DotenvFile("PUSHER_HOST=a\nVITE_PUSHER_HOST=b\n");
        $file->refer('VITE_PUSHER_HOST', 'PUSHER_HOST');
        $file->refer('VITE_OTHER', 'PUSHER_HOST');
        $file->set('PUSHER_HOST', 'c');
        self::assertSame(['PUSHER_HOST' => 'c', 'VITE_PUSHER_HOST' => 'c', 'VITE_OTHER' => 'c'], $file->values());
        self::assertSame('"${PUSHER_HOST}"', DotenvValue::reference('PUSHER_HOST'));
    }

    public function testAFileThatCannotBeReadIsNamedWithoutItsContents(): void
    {
        $this->expectException(InvalidInput::class);
        $this->expectExceptionMessageMatches('/\A(?!.*secret).*needs quotes/');
        (new DotenvFile("KEY=my secret value\n"))->values();
    }
}
