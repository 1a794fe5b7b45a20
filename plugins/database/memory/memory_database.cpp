// SPDX-License-Identifier: BSL-1.0
#include "plugins/database/memory/memory_database.h"

#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace m3 {

/// The tables of all apps that share them; any thread.
class MemoryDatabase::Tables {
 public:
  Result<RowAnswer> run(const RowRequest& request) {
    const std::lock_guard lock(mutex_);
    Entry* entry = find(request);
    RowAnswer answer;
    if (entry) answer.head = entry->head;
    answer.verdict = judge(request, answer.head);
    if (answer.verdict != RowVerdict::done) return answer;
    if (request.writes()) {
      StoredFields fresh;
      if (Status fits = apply(request, entry ? entry->fields : fresh); !fits) return fits;
      if (!entry) entry = &(tables_[request.table][request.key] = {{}, std::move(fresh)});
      entry->head = answer.head;
    }
    if (request.reads_fields()) answer.fields = selected(entry->fields, request.select);
    return answer;
  }

  RowPage scan(const RowScan& scan) {
    const std::lock_guard lock(mutex_);
    RowPage page;
    const auto table = tables_.find(scan.table);
    if (table == tables_.end()) return page;
    const Rows& rows = table->second;
    std::size_t seen = 0, bytes = 0;
    for (auto at = rows.upper_bound(scan.after); at != rows.end(); ++at) {
      // The lock is held for so many rows, whether they have an entity or not.
      if (seen++ == scan.limit || bytes >= RowScan::kLargestPageBytes) {
        page.next = std::prev(at)->first;
        break;
      }
      if (!at->second.head.exists) continue;
      for (const StoredField& field : at->second.fields) bytes += field.bytes.size();
      page.rows.push_back(
          {at->first, at->second.head, selected(at->second.fields, scan.select), false});
    }
    return page;
  }

 private:
  struct Entry {
    RowHead head;
    StoredFields fields;
  };
  using Rows = std::map<std::string, Entry, std::less<>>;

  Entry* find(const RowRequest& request) {
    const auto table = tables_.find(request.table);
    if (table == tables_.end()) return nullptr;
    const auto row = table->second.find(request.key);
    return row == table->second.end() ? nullptr : &row->second;
  }

  std::mutex mutex_;
  std::map<std::string, Rows, std::less<>> tables_;
};

MemoryDatabase::MemoryDatabase(Env& env, const Config&) : tables_(env.shared().get<Tables>()) {}
MemoryDatabase::~MemoryDatabase() = default;

Task<RowAnswer> MemoryDatabase::run(Ctx&, RowRequest request) { co_return tables_->run(request); }
Task<RowPage> MemoryDatabase::scan_rows(Ctx&, RowScan scan) { co_return tables_->scan(scan); }

}  // namespace m3
