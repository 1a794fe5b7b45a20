// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <type_traits>

// Lets a node of one of m3's lists (TimerNode, Runnable, CancelNode: each calls a plain function
// with itself as the argument) call a member function.
//
//   class Lamp {
//    private:
//     void dim();
//     Bound<TimerNode, &Lamp::dim> timer_{*this};     // a node that the object has
//   };
//
//   class Delivery final : Runnable {                 // a node that the object is
//    public:
//     Delivery() : Runnable(run_member<Runnable, &Delivery::arrive>) {}
//    private:
//     void arrive();
//   };

namespace m3::async_detail {

template <class Member>
struct OwnerOf;
template <class Class>
struct OwnerOf<void (Class::*)()> {
  using type = Class;
};
template <class Class>
struct OwnerOf<void (Class::*)() noexcept> {
  using type = Class;
};

/// Calls Method of the object that `node` is a base of, a private one too: which is why the cast is
/// not static_cast. The object may be gone afterwards.
template <class Node, auto Method>
void run_member(Node& node) {
  using Owner = typename OwnerOf<decltype(Method)>::type;
  static_assert(std::is_base_of_v<Node, Owner>);
  (((Owner&)node).*Method)();  // NOLINT(google-readability-casting)
}

/// A node that calls Method of the object it is a field of. Not moved, as its node is not.
template <class Node, auto Method>
class Bound final : public Node {
 public:
  using Owner = typename OwnerOf<decltype(Method)>::type;
  explicit Bound(Owner& owner) noexcept : Node(&Bound::run), owner_(owner) {}

 private:
  static void run(Node& node) { (static_cast<Bound&>(node).owner_.*Method)(); }

  Owner& owner_;
};

}  // namespace m3::async_detail
