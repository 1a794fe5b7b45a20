// SPDX-License-Identifier: BSL-1.0
#include "plugins/database/memory/memory_database.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace m3 {

/// The tables of all apps that share them; any thread.
class MemoryDatabase::Tables {
 public:
  RowAnswer run(const RowRequest& request) {
    const std::lock_guard lock(mutex_);
    Rows& rows = tables_[request.table];
    auto at = rows.find(request.key);
    const bool is_new = at == rows.end();
    RowAnswer answer;
    if (!is_new) answer.head = at->second.head;
    answer.verdict = judge(request, answer.head);
    if (answer.verdict != RowVerdict::done) return answer;
    if (request.writes()) {
      if (is_new) at = rows.try_emplace(request.key).first;
      at->second.head = answer.head;
      apply(request, at->second.fields);
    }
    if (request.reads_fields()) answer.fields = selected(at->second.fields, request.select);
    return answer;
  }

  RowPage scan(const RowScan& scan) {
    const std::lock_guard lock(mutex_);
    RowPage page;
    std::size_t bytes = 0;
    const Rows& rows = tables_[scan.table];
    for (auto at = rows.upper_bound(scan.after); at != rows.end(); ++at) {
      if (!at->second.head.exists) continue;
      if (page.rows.size() == scan.limit || bytes >= RowScan::kLargestPageBytes) {
        page.next = page.rows.back().key;
        break;
      }
      for (const StoredField& field : at->second.fields) bytes += field.bytes.size();
      page.rows.push_back({at->first, at->second.head, selected(at->second.fields, scan.select)});
    }
    return page;
  }

 private:
  struct Entry {
    RowHead head;
    StoredFields fields;
  };
  using Rows = std::map<std::string, Entry, std::less<>>;

  std::mutex mutex_;
  std::map<std::string, Rows, std::less<>> tables_;
};

MemoryDatabase::MemoryDatabase(Env& env, const Config&) : tables_(env.shared().get<Tables>()) {}
MemoryDatabase::~MemoryDatabase() = default;

Task<RowAnswer> MemoryDatabase::run(Ctx&, RowRequest request) { co_return tables_->run(request); }
Task<RowPage> MemoryDatabase::scan_rows(Ctx&, RowScan scan) { co_return tables_->scan(scan); }

}  // namespace m3
