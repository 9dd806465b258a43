#pragma once

#include "pawl/run.hpp"
#include "pawl/store_transaction.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace pawl::detail {

/// The common part of sqlite_transaction() and postgres_transaction().
struct transactions {
    /// As run::once(), for an effect in a transaction. `Adapter::work(fn, given)` returns the work
    /// that calls `fn` and puts its result into `given`.
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

        template <class Stored>
        auto operator()(run<Object> self, effect performed, std::optional<Stored>& stored)
            -> boost::asio::awaitable<void>
        {
            given_result<Result> given;
            effect_in_transaction wanted;
            wanted.added = std::move(performed);
            wanted.work = Adapter::work(fn, given);
            if constexpr (std::is_void_v<Result>)
                wanted.complete = [&stored](effect&) {
                    stored.emplace();
                };
            else
                wanted.complete = [&given, &stored](effect& added) {
                    run<Object>::template add_result<Result>(added, *given, stored);
                };
            wanted.object = [&self] {
                return self.encoded();
            };
            co_await self.context_->record_effect_in(wanted);
        }
    };
};

} // namespace pawl::detail
