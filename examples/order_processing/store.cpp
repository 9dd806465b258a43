#include "store.hpp"

#include "pawl/error.hpp"
#include "pawl/sqlite.hpp"
#if ORDER_POSTGRES
#include "pawl/postgres.hpp"
#endif

#include <utility>

namespace order_processing {

bool is_postgres(std::string_view db)
{
    return db.starts_with("postgresql://") || db.starts_with("postgres://");
}

std::shared_ptr<pawl::record_store> open_store(boost::asio::any_io_executor executor,
                                               const std::string& db)
{
    if (!is_postgres(db))
        return pawl::open_sqlite(db);
#if ORDER_POSTGRES
    return pawl::open_postgres(std::move(executor), db);
#else
    static_cast<void>(executor);
    throw pawl::error{pawl::errc::invalid_argument,
                      "this order server was built without PostgreSQL (PAWL_POSTGRES)"};
#endif
}

} // namespace order_processing
