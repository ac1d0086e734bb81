// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "synfin/wire/address.h"

namespace synfin::tcp {

/// An address and a port: `endpoint{wire::IpAddress::v4(10, 77, 0, 2), 80}`.
using endpoint = wire::Endpoint;

}  // namespace synfin::tcp
