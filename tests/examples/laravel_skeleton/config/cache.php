<?php

// By the cache `queue:restart` reaches the worker.
return [
    'default' => 'file',
    'stores' => ['file' => ['driver' => 'file', 'path' => storage_path('framework/cache')]],
    'prefix' => 'comments',
];
