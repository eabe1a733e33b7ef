import type { Command } from '../command.ts';
import { ATTACH, DETACH, SET_ENABLED } from '../commands.ts';
import { FTRACE_KILL } from '../ftrace-death.ts';
import { KPROBE_OPTIMIZER } from '../kprobe-optimizer.ts';
import {
  CONSUME_MAP_RECORDS,
  CREATE_MAP,
  DELETE_MAP,
  DELETE_MAP_ENTRY,
  UPDATE_MAP_ENTRY,
  WRITE_MAPS,
} from '../maps.ts';
import { MODULE_LOAD, MODULE_STATE, MODULE_UNLOAD } from '../modules.ts';
import { LOAD_OBJECT } from '../objects.ts';
import { LOAD_PROGRAM, UNLOAD_PROGRAM } from '../programs.ts';
import { RESET } from '../reset.ts';
import { END_SESSION, OPEN_SESSION, PIN } from '../sessions.ts';
import { END_TASK, MOVE_TASK, NEW_TASK } from '../tasks.ts';
import { FORCE, TRANSITION_WORK } from '../transitions.ts';
import { SYSCTL } from '../views.ts';

/** Every command that a journal may hold, by its kind. */
export const COMMANDS: ReadonlyMap<string, Command<never, unknown>> = new Map(
  [
    ATTACH,
    DETACH,
    SET_ENABLED,
    RESET,
    SYSCTL,
    NEW_TASK,
    MOVE_TASK,
    END_TASK,
    FORCE,
    TRANSITION_WORK,
    FTRACE_KILL,
    KPROBE_OPTIMIZER,
    OPEN_SESSION,
    END_SESSION,
    PIN,
    LOAD_PROGRAM,
    LOAD_OBJECT,
    UNLOAD_PROGRAM,
    CREATE_MAP,
    DELETE_MAP,
    UPDATE_MAP_ENTRY,
    DELETE_MAP_ENTRY,
    CONSUME_MAP_RECORDS,
    WRITE_MAPS,
    MODULE_LOAD,
    MODULE_STATE,
    MODULE_UNLOAD,
  ].map((command) => [command.kind, command]),
);
