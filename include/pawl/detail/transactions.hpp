#pragma once

#include "pawl/run.hpp"
#include "pawl/store_transaction.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace pawl::detail {

/// What sqlite_transaction() and postgres_transaction() have in common.
struct transactions {
    /// As run::once(), of what `fn` does in a transaction. `Adapter::work(fn, given)` gives the
    /// work that calls `fn` and puts its result in `given`.
    template <class Result, class Adapter, class Object, class Fn>
    static auto perform(run<Object>& self, std::string name, Fn fn)
    {
        return run<Object>::template perform<Result>(
            self, std::move(name), false, make<Result, Adapter, Object, Fn>{std::move(fn)});
    }

private:
    template <class Result, class Adapter, class Object, class Fn>
    struct make {
        Fn fn;

        template <class Made>
        auto operator()(run<Object> self, effect done, std::optional<Made>& made)
            -> boost::asio::awaitable<void>
        {
            given_result<Result> given;
            effect_in_transaction wanted;
            wanted.added = std::move(done);
            wanted.work = Adapter::work(fn, given);
            if constexpr (std::is_void_v<Result>)
                wanted.complete = [&made](effect&) {
                    made.emplace();
                };
            else
                wanted.complete = [&given, &made](effect& to) {
                    run<Object>::template add_result<Result>(to, *given, made);
                };
            wanted.object = [&self] {
                return self.encoded();
            };
            co_await self.context_->record_effect_in(wanted);
        }
    };
};

} // namespace pawl::detail
