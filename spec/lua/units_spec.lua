require "spec.lua.support"
local units = require "sse.units"

describe("units.duration", function()
  local good = {
    { 0, 0 }, { 2.5, 2.5 }, { "0s", 0 }, { "500ms", 0.5 }, { "3ms", 0.003 }, { "3s", 3 },
    { "1.5s", 1.5 }, { "10m", 600 }, { "1h", 3600 }, { "7d", 604800 }, { "0.5d", 43200 },
  }
  for _, pair in ipairs(good) do
    it("reads " .. tostring(pair[1]), function()
      assert.equal(pair[2], units.duration(pair[1]))
    end)
  end

  local bad = {
    -1, 0 / 0, math.huge, "", "3", "s", "3 s", "-3s", "3S", "3w", ".5s", "1e3s", "3s ", "3ss",
    "0x3s", "3.1.4s", ("9"):rep(400) .. "s", "36501d", true, {},
  }
  for _, value in ipairs(bad) do
    it("refuses " .. tostring(value):sub(1, 20), function()
      local seconds, message = units.duration(value)
      assert.is_nil(seconds)
      assert.match("^must be a duration", message)
    end)
  end

  it("refuses nil", function()
    assert.is_nil((units.duration(nil)))
  end)
end)

describe("units.size", function()
  local good = {
    { 0, 0 }, { 1024, 1024 }, { 1e6, 1000000 }, { "12", 12 }, { "64k", 65536 }, { "64K", 65536 },
    { "1M", 1048576 }, { "1.5M", 1572864 }, { "2G", 2147483648 }, { "0.5k", 512 },
  }
  for _, pair in ipairs(good) do
    it("reads " .. tostring(pair[1]), function()
      local bytes = units.size(pair[1])
      assert.equal(pair[2], bytes)
      assert.equal("integer", math.type(bytes))
    end)
  end

  local bad = {
    -1, 0 / 0, math.huge, 1.5, 2 ^ 60, "", "k", "1kb", "1 k", "-1k", "1T", "0.0001k", "99999999999G", false,
  }
  for _, value in ipairs(bad) do
    it("refuses " .. tostring(value), function()
      local bytes, message = units.size(value)
      assert.is_nil(bytes)
      assert.match("^must be ", message)
    end)
  end
end)
