<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Install;

use Dotenv\Dotenv;
use Dotenv\Exception\InvalidFileException;

/**
 * The text of a `.env` file, in which values are set and all other bytes stay.
 *
 * Of several lines with one name the last one counts, as in Laravel, and only it is changed. Its "export", blanks,
 * quotes and comment stay. A new line comes to the end, with the line ending of the file.
 */
final class DotenvFile
{
    /**
     * One assignment: what stands before the value, the value, and the rest of its last line. A value between double
     * quotes may have several lines.
     */
    private const ASSIGNMENT = '~(?<before>[ \t]*(?:export[ \t]+)?(?<name>["\']?[A-Za-z0-9_.]+["\']?)[ \t]*='
        .'(?:[ \t]*(?=[^\s#]))?)'
        .'(?<value>"(?:[^"\\\\]|\\\\.)*"|\'[^\'\r\n]*\'|[^\s#"\'][^\s#]*|)~As';

    private const BYTE_ORDER_MARK = "\u{FEFF}";

    public function __construct(private string $text)
    {
    }

    public function text(): string
    {
        return $this->text;
    }

    /**
     * All names with their values, references resolved within the file.
     *
     * @return array<string, string|null>
     *
     * @throws InvalidInput if Laravel could not read the file either
     */
    public function values(): array
    {
        $text = $this->text;
        if (str_starts_with($text, self::BYTE_ORDER_MARK)) {
            $text = substr($text, strlen(self::BYTE_ORDER_MARK));
        }
        try {
            return Dotenv::parse($text);
        } catch (InvalidFileException) { // its message quotes the line, and the line may be a secret
            throw new InvalidInput(
                '.env cannot be read: a value with blanks or "#" needs quotes, and quotes need an end',
            );
        }
    }

    /**
     * Give a name a value; a line that has this value already stays as it is.
     */
    public function set(string $name, string $value): void
    {
        if (array_key_exists($name, $values = $this->values()) && $values[$name] === $value) {
            return;
        }
        $this->write($name, fn (string $quote): string => DotenvValue::encode($value, $quote));
    }

    /**
     * Let a name refer to another one; a line that has its value already stays as it is.
     */
    public function refer(string $name, string $target): void
    {
        $values = $this->values();
        if (isset($values[$name]) && $values[$name] === ($values[$target] ?? null)) {
            return;
        }
        $this->write($name, fn (): string => DotenvValue::reference($target));
    }

    /**
     * @param  callable(string): string  $encode  from the old value's quote to the new value
     */
    private function write(string $name, callable $encode): void
    {
        $place = $this->assignments()[$name] ?? null;
        if ($place === null) {
            $this->append("{$name}={$encode('')}");

            return;
        }
        [$offset, $old] = $place;
        $quote = $old !== '' && ($old[0] === '"' || $old[0] === "'") ? $old[0] : '';
        $new = $encode($quote);
        $rest = substr($this->text, $offset + strlen($old));
        $this->text = substr($this->text, 0, $offset).$new.$rest;
    }

    /**
     * The last assignment of each name.
     *
     * @return array<string, array{int, string}> name => offset and text of its value, with quotes
     */
    private function assignments(): array
    {
        $places = [];
        $offset = str_starts_with($this->text, self::BYTE_ORDER_MARK) ? strlen(self::BYTE_ORDER_MARK) : 0;
        while ($offset < strlen($this->text)) {
            $line = $offset;
            if (preg_match(self::ASSIGNMENT, $this->text, $match, PREG_OFFSET_CAPTURE, $line) === 1) {
                [$value, $at] = $match['value'];
                $places[trim($match['name'][0], '"\'')] = [$at, $value];
                $offset = $at + strlen($value);
            }
            $offset += strcspn($this->text, "\r\n", $offset);
            $offset += strspn($this->text, "\r\n", $offset);
        }

        return $places;
    }

    private function append(string $line): void
    {
        $ending = str_contains($this->text, "\r\n") ? "\r\n" : "\n";
        $complete = $this->text === '' || in_array(substr($this->text, -1), ["\n", "\r"], true);
        $this->text .= ($complete ? '' : $ending).$line.$ending;
    }
}
