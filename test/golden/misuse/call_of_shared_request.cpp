// SPDX-License-Identifier: BSL-1.0
// Two rpcs of game.role.Role take a Twice: from the request alone nobody can tell which is meant.
// error: m3::call needs a request type that belongs to exactly one rpc
#include "game/role.m3.h"

void f(m3::Ctx& ctx, const game::role::Twice& request) { (void)m3::call(ctx, request); }
