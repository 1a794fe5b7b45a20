// SPDX-License-Identifier: BSL-1.0
// Run by meson.build at configure time: a few coroutines that a sound compiler gets right. g++ 12
// destroys temporaries twice and even computes wrong values here, without a warning; handlers
// written by m3's users look like this. Prints the cases that came out wrong; exit 1 if any did.
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

std::vector<std::coroutine_handle<>> suspended;  // resumed by run(), oldest first

template <class T>
class Task {
 public:
  struct promise_type {
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        self.promise().done = true;
        if (self.promise().parent) self.promise().parent.resume();
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    template <class U = T>
    void return_value(U&& result) {
      value = std::forward<U>(result);
    }
    void unhandled_exception() { std::abort(); }

    T value{};
    bool done = false;
    std::coroutine_handle<> parent;
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) {
    handle_.resume();
    if (handle_.promise().done) return false;
    handle_.promise().parent = parent;
    return true;
  }
  T await_resume() { return std::move(handle_.promise().value); }

  T run() {
    handle_.resume();
    while (!suspended.empty()) {
      for (auto waiting : std::exchange(suspended, {})) waiting.resume();
    }
    return std::move(handle_.promise().value);
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

struct Pause {
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) { suspended.push_back(self); }
  void await_resume() noexcept {}
};

/// A string that notices when it is destroyed without having been constructed.
class Tracked {
 public:
  Tracked(const char* text = "") : text_(text) { alive().insert(this); }
  Tracked(const Tracked& other) : text_(other.text_) { alive().insert(this); }
  Tracked(Tracked&& other) noexcept : text_(std::move(other.text_)) { alive().insert(this); }
  Tracked& operator=(const Tracked&) = default;
  Tracked& operator=(Tracked&&) = default;
  ~Tracked() { double_destructions += alive().erase(this) == 0; }

  int size() const { return static_cast<int>(text_.size()); }

  static std::set<const void*>& alive() {
    static std::set<const void*> objects;
    return objects;
  }
  static inline int double_destructions = 0;

 private:
  std::string text_;
};

struct Options {
  Tracked name;
  Tracked value;
  int count = 0;
};

Task<int> measure(Options options) {
  co_await Pause{};
  co_return options.name.size() + options.value.size() + options.count;
}
Task<int> look_at(const Options& options) {
  co_await Pause{};
  co_return options.name.size() + options.count;
}
Task<int> size_of(Tracked text) {
  co_await Pause{};
  co_return text.size();
}
Task<Tracked> make(const char* text) {
  co_await Pause{};
  co_return Tracked(text);
}
Task<bool> answer(bool value) {
  co_await Pause{};
  co_return value;
}
Task<int> call(std::function<Task<int>(Tracked)> function) {
  co_return co_await function(Tracked("abc"));
}

Task<int> aggregate_argument() {
  co_return co_await measure(Options{Tracked("abc"), Tracked("def"), 1});
}
Task<int> braced_argument() { co_return co_await measure({Tracked("abc"), Tracked("def"), 1}); }
Task<int> designated_argument() {
  co_return co_await look_at({.name = "abc", .value = "d", .count = 4});
}
Task<int> awaited_initializer() {
  Options options{co_await make("abc"), Tracked("def"), 1};
  co_return options.name.size() + options.value.size() + options.count;
}
Task<int> awaited_choice() {
  bool yes = true;
  co_return co_await (yes ? size_of(Tracked("abcdefg")) : size_of(Tracked("x")));
}
Task<int> both_conditions() {
  if (co_await answer(true) && co_await answer(true)) co_return 7;
  co_return 0;
}
Task<int> captured_by_value() {
  Tracked text("abcd");
  co_return co_await call([text](Tracked other) -> Task<int> {
    int both = text.size() + other.size();
    co_await Pause{};
    co_return both;
  });
}

bool comes_out_right(const char* name, Task<int> (*run_case)()) {
  Tracked::alive().clear();
  Tracked::double_destructions = 0;
  int value = run_case().run();
  bool right = value == 7 && Tracked::double_destructions == 0 && Tracked::alive().empty();
  if (!right) {
    std::printf("%s: value %d (7 is right), %d destroyed twice, %zu never destroyed\n", name, value,
                Tracked::double_destructions, Tracked::alive().size());
    std::fflush(stdout);
  }
  return right;
}

}  // namespace

int main() {
  bool right = comes_out_right("if (co_await a() && co_await b())", both_conditions);
  right &= comes_out_right("co_await f(Aggregate{...})", aggregate_argument);
  right &= comes_out_right("co_await f({...})", braced_argument);
  right &= comes_out_right("co_await f({.name = ...})", designated_argument);
  right &= comes_out_right("Aggregate a{co_await f(), ...}", awaited_initializer);
  right &= comes_out_right("co_await (c ? f() : g())", awaited_choice);
  right &= comes_out_right("co_await f([by_value] { ... })", captured_by_value);
  return right ? 0 : 1;
}
