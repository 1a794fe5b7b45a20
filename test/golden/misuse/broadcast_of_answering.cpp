// SPDX-License-Identifier: BSL-1.0
// Say answers: it can not be sent to all.
// error: no matching member function for call to 'say'
#include "hello.m3.h"

void f(hello::HelloClient& client, m3::Ctx& ctx) {
  (void)client.say(ctx, hello::SayReq(), m3::to::all());
}
