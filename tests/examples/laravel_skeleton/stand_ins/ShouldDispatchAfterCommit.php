<?php

namespace Illuminate\Contracts\Events;

/**
 * Stand-in for the interface that the framework has from 10.30 on. An older one does not look for it.
 */
interface ShouldDispatchAfterCommit
{
}
