"""What the tests share: servers, processes, data sets, platforms in memory."""
