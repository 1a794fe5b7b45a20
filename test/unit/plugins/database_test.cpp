// SPDX-License-Identifier: BSL-1.0
// The databases that need no service beside them.
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "m3/async/scope.h"
#include "m3/testing/catch.h"
#include "m3/testing/database_suite.h"
#include "m3/testing/plugin_host.h"

namespace {

using m3::Ctx;
using m3::Database;
using m3::Errc;
using m3::RowRequest;
using m3::RowVerdict;
using m3::Status;
using m3::StoredFields;
using m3::Task;
using Host = m3::testing::PluginHost<Database>;

/// A folder that is gone with the test.
class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "m3-database-XXXXXX";
    REQUIRE(mkdtemp(name.data()));
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Another program that uses the file.
class Other {
 public:
  explicit Other(const std::string& path) {
    REQUIRE(sqlite3_open(path.c_str(), &db_) == SQLITE_OK);
  }
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;
  ~Other() { sqlite3_close(db_); }
  void run(const char* sql) {
    INFO(sql);
    REQUIRE(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  }

 private:
  sqlite3* db_ = nullptr;
};

std::string sqlite(const std::string& path) {
  return "[database.sqlite]\npath = \"" + path + "\"\nbusy_timeout = \"200ms\"\n";
}

Status start(const std::string& config) {
  Host host(config);
  return host.started;
}

void check_suite(Host& host) {
  REQUIRE(host.started.to_string() == "ok");
  for (const auto& test : m3::testing::database_cases()) {
    DYNAMIC_SECTION(test.name) {
      const Status kept = host.run([&](Ctx& ctx) { return test.body(ctx, host.plugin()); });
      CHECK(kept.to_string() == "ok");
    }
  }
}

StoredFields text(const std::string& value) {
  return {{1, std::string("\x0a", 1) + static_cast<char>(value.size()) + value}};
}

}  // namespace

TEST_CASE("database: memory keeps the promises") {
  Host host("[database.memory]\n");
  check_suite(host);
}

TEST_CASE("database: sqlite keeps the promises") {
  const Folder folder;
  Host host(sqlite(folder.file("rows.db")));
  check_suite(host);
}

TEST_CASE("database: apps that are embedded together share the rows of memory") {
  const auto shared = std::make_shared<m3::SharedParts>();
  Host one("[database.memory]\n", {.shared = shared});
  Host two("[database.memory]\n", {.shared = shared});
  Host other("[database.memory]\n");
  REQUIRE(one.ask([&](Ctx& ctx) { return one.plugin().create(ctx, "t", "k", text("a")); }).is_ok());
  const auto read = [](Host& host) {
    return host.ask([&](Ctx& ctx) { return host.plugin().read(ctx, "t", "k"); });
  };
  REQUIRE(read(two).is_ok());
  CHECK(read(two)->fields == text("a"));
  CHECK(read(other).status() == Errc::not_found);
}

TEST_CASE("database: sqlite's rows are there after a restart, with their owners") {
  const Folder folder;
  const std::string config = sqlite(folder.file("rows.db"));
  RowRequest activate;
  activate.kind = RowRequest::Kind::activate;
  activate.table = "role";
  activate.key = "42";
  activate.owner = {"dev.w.role.1", 7, "127.0.0.1:1"};
  {
    Host host(config);
    REQUIRE(host.started.is_ok());
    auto granted = host.ask([&](Ctx& ctx) { return host.plugin().step(ctx, activate); });
    REQUIRE(granted.is_ok());
    RowRequest save = activate;
    save.kind = RowRequest::Kind::save;
    save.epoch = granted->head.epoch;
    save.version = 0;
    save.fields = text("ann");
    auto saved = host.ask([&](Ctx& ctx) { return host.plugin().step(ctx, save); });
    REQUIRE(saved.is_ok());
    REQUIRE(saved->verdict == RowVerdict::done);
  }
  Host host(config);
  auto row = host.ask([&](Ctx& ctx) { return host.plugin().read(ctx, "role", "42"); });
  REQUIRE(row.is_ok());
  CHECK(row->fields == text("ann"));
  CHECK(row->head.owner == activate.owner);
  CHECK(row->head.epoch == 1);
  CHECK(row->head.version == 1);
}

TEST_CASE("database: two connections write one file of sqlite at once") {
  const Folder folder;
  const std::string config = "[database.sqlite]\npath = \"" + folder.file("rows.db") + "\"\n";
  Host one(config);
  Host two(config);
  // Each from a thread of its own, so that they meet at the file's lock.
  const auto write = [](Host& host, int from, std::string& failed) {
    for (int i = from; i < 100; i += 2) {
      const auto made = host.ask(
          [&](Ctx& ctx) { return host.plugin().create(ctx, "t", std::to_string(i), text("a")); });
      if (!made.is_ok()) failed += made.status().to_string() + "\n";
    }
  };
  std::string first, second;
  std::thread other([&] { write(two, 1, second); });
  write(one, 0, first);
  other.join();
  CHECK(first + second == "");  // NOLINT(readability-container-size-empty): shown when it fails
  m3::RowScan scan;
  scan.table = "t";
  for (Host* host : {&one, &two}) {
    auto page = host->ask([&](Ctx& ctx) { return host->plugin().scan(ctx, scan); });
    REQUIRE(page.is_ok());
    CHECK(page->rows.size() == 100);
  }
}

TEST_CASE("database: a file that sqlite cannot use is a clear error of the start") {
  const Folder folder;
  SECTION("there is no such folder") {
    const std::string path = folder.file("none/rows.db");
    CHECK(start(sqlite(path)).to_string() ==
          "not_found: start 20 database.sqlite: " + path +
              ": cannot be opened: unable to open database file: its folder must exist, and this "
              "user must be allowed to write to it");
  }
  SECTION("it is not a database") {
    const std::string path = folder.file("text");
    std::ofstream(path) << std::string(5000, 'x');
    const Status status = start(sqlite(path));
    CHECK(status == Errc::data_loss);
    CHECK(status.text().find("file is not a database: name another file, or move this one away") !=
          std::string::npos);
  }
  SECTION("it is another program's") {
    const std::string path = folder.file("other.db");
    Other(path).run("CREATE TABLE x (y)");
    const Status status = start(sqlite(path));
    CHECK(status == Errc::failed_precondition);
    CHECK(status.text() == "start 20 database.sqlite: " + path +
                               " is the database of another program: name another file");
  }
}

TEST_CASE("database: sqlite reports a row that cannot be read, and serves the others") {
  const Folder folder;
  const std::string path = folder.file("rows.db");
  Host host(sqlite(path));
  for (const char* key : {"good", "bad"}) {
    const auto made =
        host.ask([&](Ctx& ctx) { return host.plugin().create(ctx, "t", key, text("a")); });
    REQUIRE(made.is_ok());
  }
  Other(path).run("UPDATE t SET entity = x'ff' WHERE key = 'bad'");
  const auto read = [&](const char* key) {
    return host.ask([&](Ctx& ctx) { return host.plugin().read(ctx, "t", key); }).status();
  };
  CHECK(read("good").to_string() == "ok");
  CHECK(read("bad").to_string() ==
        "data_loss: t 'bad': the stored bytes are not a message: a bad field at byte 0");
}

TEST_CASE("database: sqlite waits for another process's lock, and says when it gives up") {
  const Folder folder;
  const std::string path = folder.file("rows.db");
  Host host(sqlite(path));
  REQUIRE(host.started.is_ok());
  Other other(path);
  other.run("BEGIN IMMEDIATE");
  const auto create = [&](const char* key) {
    return host.ask([&](Ctx& ctx) { return host.plugin().create(ctx, "t", key, text("a")); })
        .status();
  };
  const Status status = create("during");
  CHECK(status == Errc::unavailable);
  CHECK(status.text() ==
        path + ": cannot be written: database is locked: another process has it locked");
  CHECK_FALSE(status.maybe_executed());
  // Of the handler that asked it says nothing: it may have done something before.
  CHECK(Status(status).of_handler().maybe_executed());
  other.run("ROLLBACK");
  CHECK(create("after").to_string() == "ok");
}

TEST_CASE("database: sqlite keeps every answered write of a process that is killed") {
  const Folder folder;
  const std::string config = sqlite(folder.file("rows.db"));
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // Counts as fast as it can, several rows at once, and tells each answered write.
    ::close(pipe_ends[0]);
    Host host(config);
    (void)host.run([&](Ctx& ctx) -> Task<> {
      m3::Scope scope(ctx.core());
      for (char row = 'a'; row < 'e'; ++row)
        scope.spawn("count", [&host, &pipe_ends, row](Ctx& own) -> Task<> {
          const std::string key(1, row);
          co_await host.plugin().create(own, "t", key, text("0"));
          for (;;) {
            co_await host.plugin().update(own, "t", key, text("x"));
            if (::write(pipe_ends[1], &row, 1) != 1) ::_exit(1);
          }
        });
      co_await scope.drain(ctx);
      co_return m3::ok;
    });
    ::_exit(1);
  }
  ::close(pipe_ends[1]);
  std::map<char, std::uint64_t> answered;
  char row = 0;
  for (int i = 0; i < 400 && ::read(pipe_ends[0], &row, 1) == 1; ++i) ++answered[row];
  ::kill(child, SIGKILL);
  while (::read(pipe_ends[0], &row, 1) == 1) ++answered[row];
  ::close(pipe_ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(answered.size() == 4);
  Host host(config);
  REQUIRE(host.started.to_string() == "ok");
  for (const auto& [key, count] : answered) {
    auto found =
        host.ask([&](Ctx& ctx) { return host.plugin().read(ctx, "t", std::string(1, key)); });
    REQUIRE(found.is_ok());
    CHECK(found->head.version >= 1 + count);
    CHECK(found->head.version <= 2 + count);  // the one that was not answered any more
  }
}

TEST_CASE("database: sqlite on a full disk refuses writes, still reads, and goes on with room") {
  const Folder folder;
  if (::mount("tmpfs", folder.file("").c_str(), "tmpfs", 0, "size=400k") != 0) {
    WARN("not run: only root can mount a small disk");
    return;
  }
  struct Unmount {
    std::string path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } const unmount{folder.file("")};
  Host host(sqlite(folder.file("rows.db")));
  REQUIRE(host.started.to_string() == "ok");
  const auto write = [&](int i) {
    const std::string big(30'000, 'x');
    // A field of its own: 2, with a length of two varint bytes.
    const StoredFields fields{{2, std::string("\x12\xb0\xea\x01", 4) + big}};
    return host
        .ask([&](Ctx& ctx) { return host.plugin().create(ctx, "t", std::to_string(i), fields); })
        .status();
  };
  Status full;
  int written = 0;
  for (; written < 50 && full.is_ok(); ++written) full = write(written);
  CHECK(full == Errc::resource_exhausted);
  CHECK_FALSE(full.maybe_executed());
  CHECK(full.text().find("database or disk is full: free some space on its disk") !=
        std::string::npos);
  const auto read = [&](int i) {
    return host.ask([&](Ctx& ctx) { return host.plugin().read(ctx, "t", std::to_string(i)); })
        .status();
  };
  CHECK(read(0).to_string() == "ok");
  CHECK(read(written - 1) == Errc::not_found);  // the refused one
  REQUIRE(::mount("tmpfs", folder.file("").c_str(), nullptr, MS_REMOUNT, "size=4m") == 0);
  CHECK(write(100).to_string() == "ok");
  CHECK(read(100).to_string() == "ok");
}
