<?php
// 10 MB to argv[1] through ext-curl, as pusher-php-server's Guzzle does; prints status and text.
$handle = curl_init($argv[1]);
curl_setopt_array($handle, [
    CURLOPT_POST => true,
    CURLOPT_POSTFIELDS => str_repeat(' ', 10485760),
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 20,
]);
$text = curl_exec($handle);
echo curl_getinfo($handle, CURLINFO_RESPONSE_CODE), ' ', $text === false ? curl_error($handle) : $text;
