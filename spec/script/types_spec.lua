local files = require "spec.support.files"
local server = require "spec.support.server"

describe("annotations", function()
  after_each(server.stop_all)

  --- Names that the module really has: "get", "auth.token", ...
  local function registered()
    local result = server.run { "--check", "-e", [[
      local sse = require "sse"
      for name, value in pairs(sse) do
        print("has " .. name)
        if type(value) == "table" then
          for inner in pairs(value) do print("has " .. name .. "." .. tostring(inner)) end
        end
      end
    ]] }
    assert.equal(0, result.status, result.stderr)
    local names = {}
    for name in result.stdout:gmatch "has ([%w_.]+)" do
      names[#names + 1] = name
    end
    assert.is_true(#names > 40)
    return names
  end

  it("have an entry for every function and value of the module", function()
    local text = files.read "types/sse.lua"
    for _, name in ipairs(registered()) do
      local pattern = "sse%." .. name:gsub("%.", "%%.") .. "[%s(=]"
      local known = text:find(pattern) or name:match "^log%." or name:match "^json%."
      assert.is_truthy(known, "types/sse.lua has no entry for sse." .. name)
    end
  end)

  it("are written where an editor wants them", function()
    local folder = files.directory {} .. "/types" -- not there yet
    local result = server.run { "--types", folder }
    assert.equal(0, result.status)
    assert.equal(files.read "types/sse.lua", files.read(folder .. "/sse.lua"))
    assert.equal(files.read "scripts/testing.lua", files.read(folder .. "/sse/testing.lua"))
    assert.equal(0, server.run({ "--types", folder }).status)
  end)

  it("says what is wrong when they cannot be written", function()
    local result = server.run { "--types", "/nowhere/at/all" }
    assert.equal(2, result.status)
    assert.matches("cannot write '/nowhere/at/all/sse.lua': No such file or directory", result.stderr, 1, true)
  end)
end)
