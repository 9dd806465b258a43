#include "engine/cluster/limit_leases.hpp"

#include "core/stable_hash.hpp"
#include "engine/run/active_runs.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// The time between two rounds while pools are in use.
constexpr duration round_time = std::chrono::milliseconds{250};

/// A round makes at least so many calls of the store, so that each round is of use.
constexpr std::size_t min_calls = 64;

/// How long a block is kept while no run needs it, and the length of a turn if there are fewer
/// blocks than engines. An engine that does not take its turn for that time is passed over.
constexpr duration keep_time = std::chrono::seconds{1};

std::size_t blocks_of(std::size_t concurrency)
{
    return std::min(concurrency, limit_leases::max_blocks);
}

/// How many attempts a block allows.
std::size_t size_of_block(std::size_t concurrency, std::size_t block)
{
    const auto blocks = blocks_of(concurrency);
    if (block >= blocks)
        return 0;
    return concurrency / blocks + (block < concurrency % blocks ? 1 : 0);
}

} // namespace

limit_leases::limit_leases(engine_parts& shared, std::string owner, duration lease_duration)
    : shared_(shared), owner_(std::move(owner)), lease_duration_(lease_duration),
      strand_(asio::make_strand(shared.executor)), timer_(shared.clock.make_timer(strand_)),
      roles_(owner_)
{
}

void limit_leases::start()
{
    shared_.background.spawn(strand_, manage());
}

void limit_leases::stop()
{
    stopping_ = true;
    wake();
}

void limit_leases::note_demand()
{
    // While pools are in use, the next round comes soon.
    demanded_ = true;
    if (idle_)
        wake();
}

void limit_leases::wake()
{
    if (!woken_.exchange(true))
        asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

void limit_leases::set_engines(std::size_t count, std::size_t rank)
{
    engines_ = std::max<std::size_t>(count, 1);
    rank_ = rank;
}

asio::awaitable<void> limit_leases::manage()
{
    const auto alive = shared_from_this();
    while (!stopping_) {
        woken_ = false;
        demanded_ = false;
        std::exception_ptr failure;
        try {
            co_await run_round();
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure)
            shared_.log({log_level::warn,
                         "cannot renew the leases of limits: " + detail::exception_text(failure)});
        idle_ = pools_.empty() && !failure;
        if (!woken_ && !stopping_ && !(idle_ && demanded_))
            co_await wait(*timer_, failure ? std::min(failure_pause, lease_duration_ / 6)
                                   : idle_ ? longest_sleep
                                           : std::min(round_time, lease_duration_ / 6));
    }
    co_await release_all();
    lease_timer_.reset();
}

asio::awaitable<void> limit_leases::run_round()
{
    const auto now = shared_.clock.steady();
    if (lapsed_)
        drop_all();
    auto demands = shared_.limiter->pool_demands();
    for (const auto& demand : demands) {
        auto& pool = pools_[{demand.limit, demand.key}];
        pool.concurrency = demand.concurrency;
        pool.needed_at = now;
    }
    if (pools_.empty()) {
        lease_timer_.reset();
        co_return;
    }
    if (must_renew())
        co_await renew();
    const auto roles = co_await shared_.store.roles(limit_roles::prefix);
    roles_.assign(roles);
    calls_ = 0;
    std::vector<pool_name> idle;
    for (const auto& [name, pool] : pools_)
        if (now - pool.needed_at >= keep_time)
            idle.push_back(name);
    for (const auto& name : idle) {
        if (is_late())
            co_return;
        co_await show_want(name, false);
        co_await give_back(name, 0);
        if (const auto left = pools_.find(name);
            left != pools_.end() && left->second.blocks.empty())
            pools_.erase(left);
    }
    for (auto& demand : demands) {
        if (is_late())
            co_return;
        pool_name name{demand.limit, demand.key};
        co_await balance_pool(std::move(name), std::move(demand));
    }
    if (pools_.empty() && std::exchange(released_, false))
        co_await shared_.store.forget_roles(limit_roles::prefix);
}

bool limit_leases::must_renew() const
{
    return lapsed_ || !lease_timer_ || shared_.clock.steady() - renewed_at_ >= lease_duration_ / 3;
}

/// Ends a round for a renewal: the calls for thousands of keys may take longer than a lease.
bool limit_leases::is_late()
{
    const bool late = calls_ >= min_calls && must_renew();
    woken_ = woken_ || late; // the next round begins without a wait
    return late;
}

asio::awaitable<void> limit_leases::renew()
{
    const auto started_at = shared_.clock.steady();
    const auto before = lease_timer_;
    start_lease_timer();
    const auto lease_time = lease_timer_;
    lease_timer_ = before; // until the renewal has succeeded
    std::vector<pool_name> names;
    for (const auto& [name, pool] : pools_)
        names.push_back(name);
    for (const auto& name : names) {
        for (auto block = pools_[name].blocks.begin(); block != pools_[name].blocks.end();) {
            const auto role = block->second.role;
            const auto renewed = co_await shared_.store.claim_role(role, owner_, lease_duration_);
            block = renewed ? std::next(block) : pools_[name].blocks.erase(block);
        }
        if (const auto& want = pools_[name].want) {
            const auto role = want->role;
            co_await shared_.store.claim_role(role, owner_, lease_duration_);
        }
        apply(name);
    }
    // A late answer does not count: another engine may hold the block by now.
    if (lapsed_ || lease_time->lapsed())
        drop_all();
    lease_timer_ = lease_time;
    renewed_at_ = started_at;
}

/// Gives back what is not needed while others need it, then claims what is needed.
asio::awaitable<void> limit_leases::balance_pool(pool_name name, pool_demand demand)
{
    const auto blocks = blocks_of(demand.concurrency);
    const auto needed = std::min(demand.concurrency, demand.running + demand.waiting);
    co_await release_excess(name, blocks);
    const bool shared = roles_.others_want(name);
    if (!shared)
        pools_[name].free_since.reset();
    const auto part = shared ? part_of(name, blocks) : blocks;
    if (pools_[name].blocks.size() > part)
        co_await give_back(name, part);
    co_await claim_blocks(name, needed, part);
    std::size_t held = 0;
    for (const auto& [block, role] : pools_[name].blocks)
        held += size_of_block(demand.concurrency, block);
    const bool is_short = held < needed && pools_[name].blocks.size() < blocks;
    co_await show_want(name, is_short && pools_[name].blocks.size() <
                                             std::max<std::size_t>(1, blocks / engines_));
}

/// Releases blocks that the pool no longer has, because its concurrency was set to a smaller one.
asio::awaitable<void> limit_leases::release_excess(pool_name name, std::size_t blocks)
{
    while (!pools_[name].blocks.empty()) {
        const auto last = std::prev(pools_[name].blocks.end());
        if (last->first < blocks)
            break;
        auto role = last->second;
        pools_[name].blocks.erase(last);
        released_ = true;
        ++calls_;
        co_await shared_.store.release_role(std::move(role));
    }
}

/// Releases blocks down to `kept`, except those that running attempts still need. No further
/// attempt begins in them.
asio::awaitable<void> limit_leases::give_back(pool_name name, std::size_t kept)
{
    pools_[name].usable = kept;
    std::size_t capacity = 0;
    std::vector<std::size_t> surplus;
    std::size_t count = 0;
    for (const auto& [block, role] : pools_[name].blocks) {
        if (count++ < kept)
            capacity += size_of_block(pools_[name].concurrency, block);
        else
            surplus.push_back(block);
    }
    const auto running = shared_.limiter->set_leased(name.first, name.second, capacity);
    for (const auto block : surplus) {
        const auto size = size_of_block(pools_[name].concurrency, block);
        if (running > capacity) {
            capacity += size; // its attempts must end first
            continue;
        }
        auto role = pools_[name].blocks.at(block);
        pools_[name].blocks.erase(block);
        released_ = true;
        ++calls_;
        co_await shared_.store.release_role(std::move(role));
    }
}

asio::awaitable<void> limit_leases::claim_blocks(pool_name name, std::size_t needed,
                                                 std::size_t most)
{
    const auto concurrency = pools_[name].concurrency;
    const auto blocks = blocks_of(concurrency);
    std::size_t held = 0;
    for (const auto& [block, role] : pools_[name].blocks)
        held += size_of_block(concurrency, block);
    // Each engine begins at another block.
    const auto first = core::mix(core::fnv1a(owner_)) % std::max<std::size_t>(blocks, 1);
    for (std::size_t i = 0; i < blocks && held < needed; ++i) {
        const auto block = (first + i) % blocks;
        if (pools_[name].blocks.size() >= most)
            break;
        if (pools_[name].blocks.contains(block) || roles_.is_taken(name, block))
            continue;
        const auto role = limit_roles::block_role(name, block);
        ++calls_;
        const auto claimed = co_await shared_.store.claim_role(role, owner_, lease_duration_);
        if (!claimed || lapsed_)
            continue;
        if (pools_[name].blocks.empty())
            pools_[name].turn_began_at = shared_.clock.steady();
        pools_[name].blocks.emplace(block, *claimed);
        held += size_of_block(concurrency, block);
    }
    pools_[name].usable = most;
    apply(name);
}

/// Claims or releases the role by which other engines see that this one needs more of the pool.
asio::awaitable<void> limit_leases::show_want(pool_name name, bool wanted)
{
    const bool shown = pools_[name].want.has_value();
    if (wanted && !shown) {
        const auto role = limit_roles::want_role(name, shared_.clock.now(), owner_);
        ++calls_;
        auto claimed = co_await shared_.store.claim_role(role, owner_, lease_duration_);
        pools_[name].want = std::move(claimed);
    } else if (!wanted && shown) {
        auto role = *std::exchange(pools_[name].want, std::nullopt);
        ++calls_;
        const auto used_once = role.role;
        co_await shared_.store.release_role(std::move(role));
        co_await shared_.store.forget_roles(used_once);
    }
}

/// Never throws: roles that are not released lapse.
asio::awaitable<void> limit_leases::release_all()
{
    try {
        for (auto& [name, pool] : std::exchange(pools_, {})) {
            for (const auto& [block, role] : pool.blocks)
                co_await shared_.store.release_role(role);
            if (pool.want)
                co_await shared_.store.release_role(*pool.want);
        }
    } catch (...) {
        shared_.log({log_level::warn, "cannot release the leases of limits: " +
                                          detail::exception_text(std::current_exception())});
    }
}

/// The number of blocks that are this engine's while other engines need the pool.
std::size_t limit_leases::part_of(const pool_name& name, std::size_t blocks)
{
    const std::size_t engines = engines_;
    if (blocks < engines)
        return has_turn(name, blocks) ? 1 : 0;
    const auto shift = core::fnv1a(name.second, core::fnv1a(name.first));
    const auto place = (rank_ + shift) % engines;
    return blocks / engines + (place < blocks % engines ? 1 : 0);
}

/// Whether this engine may have a block although there are fewer blocks than engines that need the
/// pool. A turn that has ended does not begin again before the block was given back: else the
/// length of the attempts could keep other engines from ever having a turn.
bool limit_leases::has_turn(const pool_name& name, std::size_t blocks)
{
    auto& pool = pools_[name];
    const auto now = shared_.clock.steady();
    if (!pool.blocks.empty()) {
        pool.free_since.reset();
        return now - pool.turn_began_at < keep_time;
    }
    std::size_t free = 0;
    for (std::size_t block = 0; block < blocks; ++block)
        free += roles_.is_taken(name, block) ? 0 : 1;
    if (free == 0 || !pool.free_since)
        pool.free_since = free == 0 ? std::nullopt : std::optional{now};
    const auto passed_over = pool.free_since ? (now - *pool.free_since) / keep_time : 0;
    const auto before = roles_.wants_before(name);
    return before && *before < free + static_cast<std::size_t>(passed_over);
}

/// The leases have lapsed: other engines may hold the blocks.
void limit_leases::drop_all()
{
    lapsed_ = false;
    lease_timer_.reset();
    for (auto& [name, pool] : pools_) {
        pool.blocks.clear();
        pool.want.reset();
        shared_.limiter->set_leased(name.first, name.second, 0);
    }
}

void limit_leases::start_lease_timer()
{
    lease_timer_ =
        async::lease_timer::start(shared_.clock, strand_, lease_duration_,
                                  [weak = weak_from_this()](const async::lease_timer& lapsed) {
                                      const auto self = weak.lock();
                                      if (!self || self->lease_timer_.get() != &lapsed)
                                          return;
                                      self->lapsed_ = true;
                                      // The coroutine may be using `pools_` now.
                                      self->shared_.limiter->drop_leased();
                                      self->wake();
                                  });
}

/// Tells the limiter how many attempts the held blocks allow.
void limit_leases::apply(const pool_name& name)
{
    if (lapsed_)
        return;
    std::size_t capacity = 0;
    std::size_t count = 0;
    for (const auto& [block, role] : pools_[name].blocks)
        if (count++ < pools_[name].usable)
            capacity += size_of_block(pools_[name].concurrency, block);
    shared_.limiter->set_leased(name.first, name.second, capacity);
    shared_.active->begin_permitted();
}

} // namespace pawl::engine_detail
