<?php
// 10 MB to argv[1]; prints status and text. PHP's streams, as Guzzle uses them where ext-curl is missing.
$context = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => "Content-Type: application/json\r\n",
    'content' => str_repeat(' ', 10485760),
    'ignore_errors' => true,
    'timeout' => 20,
]]);
$text = file_get_contents($argv[1], false, $context);
echo explode(' ', $http_response_header[0])[1], ' ', $text;
