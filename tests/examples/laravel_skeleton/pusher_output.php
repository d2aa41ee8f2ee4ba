<?php

/*
| Prints as JSON what the stand-in for pusher-php-server makes of the cases in its standard input: a request that it sends,
| or an answer that it gives to an authorization. Nothing leaves the process.
*/

namespace Pusher;

use GuzzleHttp\Client;
use GuzzleHttp\Handler\MockHandler;
use GuzzleHttp\HandlerStack;
use GuzzleHttp\Middleware;
use GuzzleHttp\Psr7\Response;

require __DIR__.'/bootstrap/autoload.php';

$input = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
['app_id' => $appId, 'key' => $key, 'secret' => $secret] = $input['credentials'];
define('Pusher\NOW', $input['now']);

// In this namespace it hides PHP's own.
function time(): int
{
    return NOW;
}

$sent = [];
$stack = HandlerStack::create(new MockHandler(array_fill(0, count($input['cases']), new Response(200, [], '{}'))));
$stack->push(Middleware::history($sent));
$pusher = new Pusher($key, $secret, $appId, $input['options'], new Client(['handler' => $stack]));

$output = array_map(function (array $case) use ($pusher, &$sent) {
    $answer = $pusher->{$case['method']}(...$case['arguments']);
    if ($case['method'] !== 'trigger') {
        return json_decode($answer, true);
    }
    $request = array_pop($sent)['request'];

    return [
        'method' => $request->getMethod(),
        'url' => (string) $request->getUri(),
        'headers' => array_map(fn (array $values) => implode(', ', $values), $request->getHeaders()),
        'body' => (string) $request->getBody(),
    ];
}, $input['cases']);
echo json_encode($output);
