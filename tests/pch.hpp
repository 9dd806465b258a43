// The headers that are slow to parse, for all tests. Nothing relies on this file.
#pragma once

#include "../src/pch.hpp"

#include <boost/describe.hpp>
#include <boost/test/unit_test.hpp>
