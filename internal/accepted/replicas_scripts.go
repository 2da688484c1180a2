package accepted

import (
	_ "embed" // the scripts

	"github.com/fsm-integrations/sidecar/internal/shared"
)

var (
	//go:embed lua/beat.lua
	luaBeat string
	//go:embed lua/leave.lua
	luaLeave string
	//go:embed lua/index.lua
	luaIndex string
	//go:embed lua/list.lua
	luaList string
	//go:embed lua/tell.lua
	luaTell string
	//go:embed lua/adopt.lua
	luaAdopt string
	//go:embed lua/read.lua
	luaRead string
)

// scripts are all that is ever run on the keys of accepted exchanges, each on one.
type scripts struct{ beat, leave, index, list, tell, adopt, read *shared.Script }

func newScripts() scripts {
	return scripts{beat: shared.NewScript(luaBeat), leave: shared.NewScript(luaLeave), index: shared.NewScript(luaIndex), list: shared.NewScript(luaList),
		tell: shared.NewScript(luaTell), adopt: shared.NewScript(luaAdopt), read: shared.NewScript(luaRead)}
}
