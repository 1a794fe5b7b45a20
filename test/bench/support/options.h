// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>

namespace bench {

struct ClientOptions {
  int port = 0;
  int connections = 1;
  int outstanding = 1;  ///< calls in flight on each connection
  int payload_bytes = 64;
  double seconds = 1.0;  ///< measured time
  double warmup_seconds = 0.15;
  int server_pid = 0;       ///< 0: the server's costs are not reported
  std::string server_page;  ///< the "page" of the server's ready line
  bool count_syscalls = false;
  std::string ports;  ///< of many instances, with commas (the mesh's client only)
  std::string route;  ///< how they are chosen
};

struct ServerOptions {
  int port = 0;                ///< 0: any free port; the ready line says which
  int lifetime_seconds = 900;  ///< the server ends itself after this time, whatever happens
  std::string handler;         ///< which kind of handler serves the calls (m3 only)
  int instances = 1;           ///< how many it stands for (the mesh's server only)
};

/// Both read `--name value` pairs and end the process with exit code 2 and one line that says what
/// is wrong. Both see to it that the program ends when its parent does and, in any case, in time.
ClientOptions parse_client(int argc, char** argv);
ServerOptions parse_server(int argc, char** argv);

/// This process ends when its parent does, and after that time in any case.
void end_with_parent(unsigned limit_seconds);

/// Raises the limit of open files to the hard limit.
void allow_many_files();

}  // namespace bench
