// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the cases of misuse.txt include, compiled once for all of them.
#include <string>

#include "game/role.m3.h"
#include "hello.m3.h"
#include "m3/app/app.h"
#include "m3/async/channel.h"
#include "m3/async/scope.h"
#include "m3/async/task.h"
#include "m3/async/timer.h"

m3::Task<> work();
m3::Task<> work(m3::Ctx& ctx);
