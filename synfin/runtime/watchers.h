// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "synfin/runtime/watcher.h"
#include "synfin/stack/handle.h"

namespace synfin::runtime {

/// Who watches which handle. Indices of a stack's pools are small, so a vector a kind is the whole table.
class Watchers {
 public:
  void put(stack::Handle handle, Watcher* watcher) {
    std::vector<Entry>& entries = of(handle);
    if (handle.index() >= entries.size()) entries.resize(handle.index() + 1);
    entries[handle.index()] = {handle, watcher};
  }
  void erase(stack::Handle handle) {
    if (find(handle) != nullptr) of(handle)[handle.index()] = {};
  }
  /// Null for a handle that nobody watches, stale ones included.
  Watcher* find(stack::Handle handle) {
    const std::vector<Entry>& entries = of(handle);
    if (handle.index() >= entries.size() || entries[handle.index()].handle != handle) return nullptr;
    return entries[handle.index()].watcher;
  }
  /// Those of listeners.
  std::vector<Watcher*> of_listeners() const {
    std::vector<Watcher*> all;
    for (const Entry& e : tables_[std::to_underlying(stack::HandleKind::kListener)]) {
      if (e.watcher != nullptr) all.push_back(e.watcher);
    }
    return all;
  }
  /// Empties the table and returns those who were in it.
  std::vector<Watcher*> take_all() {
    std::vector<Watcher*> all;
    for (std::vector<Entry>& entries : tables_) {
      for (const Entry& e : entries) {
        if (e.watcher != nullptr) all.push_back(e.watcher);
      }
      entries.clear();
    }
    return all;
  }

 private:
  struct Entry {
    stack::Handle handle;
    Watcher* watcher = nullptr;
  };
  std::vector<Entry>& of(stack::Handle handle) { return tables_[std::to_underlying(handle.kind())]; }
  std::array<std::vector<Entry>, std::to_underlying(stack::HandleKind::kPending) + 1> tables_;
};

}  // namespace synfin::runtime
